import { once } from "node:events";
import { connect } from "node:net";
import { within } from "@lanai/connection/deadline";

/**
 * Asks the server at the port of its first argument, by TCP or by HTTP, and prints "answer" or
 * "outage". Its deadline falls into the time in which its parent has stopped it, or it computes.
 */
const [port, kind] = process.argv.slice(2);
const MS = 100;

const askByTcp = async (): Promise<string> => {
  const socket = connect(Number(port), "127.0.0.1");
  const [data] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return String(data);
};

const askByHttp = async (): Promise<string> => {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  return response.text();
};

const start = performance.now();
const answer = kind === "http" ? askByHttp() : askByTcp();
const outcome = within(MS, answer, () => "outage");
if (kind === "busy") {
  // In the check phase: the timers that became due meanwhile run before the next poll.
  setTimeout(() => {
    setImmediate(() => {
      const until = performance.now() + 4 * MS;
      while (performance.now() < until);
    });
  }, MS / 2);
}
process.stdout.write(JSON.stringify({ outcome: await outcome, ms: performance.now() - start }));
process.exit();
