import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startNats } from "../../../scripts/services/nats.ts";
import { startProxy } from "./proxy.ts";
import { until } from "./servers.ts";

test("a process that stood still past its timeout takes the replies that have arrived", async () => {
  await using server = await startNats();
  await using proxy = await startProxy(server.port);
  const child = fork(
    fileURLToPath(new URL("frozen-process.ts", import.meta.url)),
    [`${proxy.port}`],
    {
      execArgv: ["--conditions=@lanai/source"],
    },
  );
  try {
    await once(child, "message");
    proxy.holdAfter = /PUB app\.kept/;
    child.send("go");
    const ended = once(child, "message");
    await until("the calls are with the server", () => proxy.isHolding);
    child.kill("SIGSTOP");
    proxy.release();
    // Longer than the child's timeout: it is no faster to stand still.
    await sleep(1_500);
    child.kill("SIGCONT");
    const [told] = await ended;
    expect(told).toEqual({
      ended: ["plain: resolved", "kept: resolved", "subscribe: resolved"],
      heard: ["kept"],
    });
  } finally {
    child.kill("SIGKILL");
  }
});
