import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });

test("a server ends with the process that started it, though that was killed", async () => {
  const child = fork(fileURLToPath(new URL("./start-redis.ts", import.meta.url)));
  const [port] = await once(child, "message");
  expect(await isListening(port)).toBe(true);
  child.kill("SIGKILL");
  await vi.waitFor(async () => expect(await isListening(port)).toBe(false), { timeout: 10_000 });
}, 20_000);
