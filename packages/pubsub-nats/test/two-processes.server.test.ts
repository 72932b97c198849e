import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { listen, type Opened, openBackend } from "./fixture.ts";
import type { Order, Report } from "./peer-process.ts";
import { numbers, subjectsOn, until } from "./servers.ts";

let server: NatsServer;
let here: Opened;
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
  const next = () => new Promise<void>((resolve) => (done = resolve));
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
  server = await startNats();
  [here, there] = await Promise.all([openBackend(server), startPeer()]);
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
  await until("both have all", () => texts.length === 1_000 && there.heard.length === 1_000);
  expect(sorted(texts)).toEqual(numbers(1, 1_000));
  expect(sorted(there.heard.map(({ text }) => text))).toEqual(numbers(1, 1_000));
});

test("P4: one that never called ensureStream stores too, and resumes the other's cursor", async () => {
  await here.backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  await there.tell({ do: "publish", subject: "kept.a", texts: numbers(1, 20) });
  const { messages, texts } = await listen(here.backend, "kept.a", { replay: Infinity });
  await until("all are replayed", () => texts.length === 20);
  expect(texts).toEqual(numbers(1, 20));
  there.heard.length = 0;
  const since = messages[4]?.id ?? "";
  await there.tell({ do: "subscribe", subject: "kept.*", since });
  await here.backend.publish("kept.a", "21");
  await until("the rest comes there", () => there.heard.length === 16);
  expect(there.heard.map(({ text }) => text)).toEqual(numbers(6, 21));
  expect(there.heard.map(({ id }) => id).slice(0, 15)).toEqual(
    messages.slice(5, 20).map(({ id }) => id),
  );
});

test("one that is killed leaves no subscription and harms nobody", async () => {
  const other = await startPeer();
  const before = await subjectsOn(server);
  await other.tell({ do: "subscribe", subject: "killed.*" });
  await other.tell({ do: "subscribe", subject: "kept.>" });
  const { texts } = await listen(here.backend, "killed.a");
  other.process.kill("SIGKILL");
  await once(other.process, "exit");
  await here.backend.publish("killed.a", "1");
  await until("it comes", () => texts.length === 1);
  await until("only ours is left", async () => {
    const now = await subjectsOn(server);
    return now.length === before.length + 1 && now.includes("app.killed.a");
  });
});
