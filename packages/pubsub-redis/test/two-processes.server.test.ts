import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { eventually, listen, numbers, openBackend } from "./fixture.ts";
import type { Order, Report } from "./peer-process.ts";
import { wireOf } from "./servers.ts";

let server: RedisServer;
let here: ReturnType<typeof openBackend>;
let there: Peer;

interface Peer {
  readonly process: ChildProcess;
  readonly heard: { readonly text: string; readonly id: string | undefined }[];
  /** Resolves when it is done. */
  tell(order: Order): Promise<void>;
}

async function startPeer(): Promise<Peer> {
  const program = new URL("./peer-process.ts", import.meta.url);
  const peer = fork(program, [`${server.port}`], { execArgv: ["--conditions=@lanai/source"] });
  const heard: Peer["heard"] = [];
  let done = () => {};
  peer.on("message", (report: Report) => {
    if (report.is === "heard") heard.push(report);
    else done();
  });
  const next = () =>
    new Promise<void>((resolve) => {
      done = resolve;
    });
  await next();
  return {
    process: peer,
    heard,
    async tell(order) {
      const answer = next();
      peer.send(order);
      await answer;
    },
  };
}

beforeAll(async () => {
  server = await startRedis();
  here = openBackend(server.port);
  there = await startPeer();
});
afterAll(async () => {
  there?.process.kill();
  await here?.[Symbol.asyncDispose]();
  await server?.stop();
});

test("two processes hear each other and themselves", async () => {
  const { texts } = await listen(here.backend, "both.*");
  await there.tell({ do: "subscribe", subject: "both.>" });
  await Promise.all([
    there.tell({ do: "publish", subject: "both.there", texts: numbers(1, 500) }),
    ...numbers(501, 1_000).map((text) => here.backend.publish("both.here", text)),
  ]);
  const sorted = (all: readonly string[]) => all.toSorted((a, b) => Number(a) - Number(b));
  await eventually(() => expect([texts.length, there.heard.length]).toEqual([1_000, 1_000]));
  expect(sorted(texts)).toEqual(numbers(1, 1_000));
  expect(sorted(there.heard.map(({ text }) => text))).toEqual(numbers(1, 1_000));
});

test("P4: one that never called ensureStream stores too, and resumes the other's cursor", async () => {
  await here.backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  await there.tell({ do: "publish", subject: "kept.a", texts: numbers(1, 20) });
  const { messages, texts } = await listen(here.backend, "kept.a", { replay: Infinity });
  await eventually(() => expect(texts).toEqual(numbers(1, 20)));
  there.heard.length = 0;
  const since = messages[4]?.id ?? "";
  await there.tell({ do: "subscribe", subject: "kept.*", since });
  await here.backend.publish("kept.a", "21");
  await eventually(() => expect(there.heard.length).toBe(16));
  expect(there.heard.map(({ text }) => text)).toEqual(numbers(6, 21));
  const ids = messages.slice(5, 20).map(({ id }) => id);
  expect(there.heard.map(({ id }) => id).slice(0, 15)).toEqual(ids);
});

test("one that is killed leaves no subscription and harms nobody", async () => {
  const other = await startPeer();
  const before = await wireOf([server], "lanai:");
  await other.tell({ do: "subscribe", subject: "killed.*" });
  await other.tell({ do: "subscribe", subject: "kept.>" });
  const { texts } = await listen(here.backend, "killed.a");
  expect(await wireOf([server], "lanai:")).toBe(before + 2);
  other.process.kill("SIGKILL");
  await once(other.process, "exit");
  await here.backend.publish("killed.a", "1");
  await eventually(() => expect(texts).toEqual(["1"]));
  await eventually(async () => expect(await wireOf([server], "lanai:")).toBe(before + 1));
});
