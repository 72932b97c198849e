import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { onFreePort } from "../services/server-process.ts";
import { until } from "../testing/until.ts";

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });

test("a server and its files end with the process that started it, though that was killed", async () => {
  const child = fork(fileURLToPath(new URL("./start-redis.ts", import.meta.url)));
  const [{ port, folder }] = await once(child, "message");
  expect(await isListening(port)).toBe(true);
  expect(existsSync(folder)).toBe(true);
  child.kill("SIGKILL");
  await until(async () => {
    expect(await isListening(port)).toBe(false);
    expect(existsSync(folder)).toBe(false);
  });
});

test("a port that is taken between finding it and using it is no failure", async () => {
  const tried: number[] = [];
  const started = onFreePort(async (port) => {
    tried.push(port);
    if (tried.length < 3) throw new Error("bind: Address already in use");
    return port;
  });
  expect(await started).toBe(tried[2]);
  expect(tried).toHaveLength(3);
});

test("a server that fails otherwise, or on every port, says so", async () => {
  const fail = (message: string) => {
    let count = 0;
    const failing = onFreePort(() => {
      count += 1;
      return Promise.reject(new Error(message));
    });
    return failing.catch((error) => [count, error.message]);
  };
  expect(await fail("no such option")).toEqual([1, "no such option"]);
  expect(await fail("bind: Address already in use")).toEqual([5, "bind: Address already in use"]);
});
