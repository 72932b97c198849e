import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { readSync } from "node:fs";
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { within } from "@lanai/connection/deadline";

/**
 * Asks the server at the port of its first argument, by TCP or by HTTP, and prints "answer" or
 * "outage". Its deadline falls into the time in which it has stopped itself, or computes.
 */
const [port, kind] = process.argv.slice(2);
const MS = 100;

/** Resolves when the question has left. */
const ask = async (): Promise<{ readonly answer: Promise<string> }> => {
  if (kind === "http") {
    const sent = new Promise((resolve) => subscribe("undici:client:sendHeaders", resolve));
    const answer = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
    await sent;
    await turn();
    return { answer };
  }
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  socket.write("question");
  const answer = once(socket, "data").then(([data]) => {
    socket.destroy();
    return String(data);
  });
  return { answer };
};

const { answer } = await ask();
const start = performance.now();
const outcome = within(MS, answer, () => "outage");
if (kind === "busy") {
  // In the check phase: the timers that became due meanwhile run before the next poll.
  setImmediate(() => {
    // The parent has answered.
    readSync(0, new Uint8Array(1));
    while (performance.now() < start + 2 * MS);
  });
} else {
  process.kill(process.pid, "SIGSTOP");
}
process.stdout.write(JSON.stringify({ outcome: await outcome, ms: performance.now() - start }));
process.exit();
