import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { fixed, table } from "./lib/text.js";

const KINDS = ["lanai", "lanai-session", "socket.io", "ws"];
/** Processes that hold the tabs, and messages that are published one after the other. */
const HOLDERS = 2;
const ITEMS = 20;

const start = (script, args, execArgv = []) =>
  fork(fileURLToPath(new URL(`lib/${script}`, import.meta.url)), args, { execArgv });

const ask = async (child, message) => {
  const answer = once(child, "message");
  child.send(message);
  return (await answer)[0];
};

/** A server that so many tabs have joined, and what each of them takes in its memory. */
const join = async (kind, tabs, flags = []) => {
  const server = start("tabs-server.js", [kind], ["--expose-gc", ...flags]);
  const [{ port }] = await once(server, "message");
  const before = await ask(server, { word: "memory" });
  const each = Math.floor(tabs / HOLDERS);
  const holders = Array.from({ length: HOLDERS }, (_, i) =>
    start("tabs-client.js", [kind, `${port}`, `${i * each}`, `${each}`]),
  );
  await Promise.all(holders.map((it) => once(it, "message")));
  const after = await ask(server, { word: "memory" });
  const bytes = (name) => (after[name] - before[name]) / (each * HOLDERS);
  const stop = () => {
    for (const it of [server, ...holders]) it.kill("SIGKILL");
  };
  return { server, holders, heap: bytes("heap"), rss: bytes("rss"), stop };
};

/** Resident memory without what the young generation has grown to while the tabs were joining. */
const settledRss = async (kind, tabs) => {
  const { rss, stop } = await join(kind, tabs, ["--max-semi-space-size=1"]);
  stop();
  return rss;
};

const measure = async (kind, tabs, rounds) => {
  const settled = await settledRss(kind, tabs);
  const { server, holders, heap, rss, stop } = await join(kind, tabs);
  try {
    const times = [];
    const busy = await ask(server, { word: "cpu" });
    for (let round = 0; round < rounds; round++) {
      await Promise.all(holders.map((it) => ask(it, { rounds: ITEMS })));
      const began = performance.now();
      const received = Promise.all(holders.map((it) => once(it, "message")));
      for (let n = 0; n < ITEMS; n++) {
        server.send({ word: "publish", item: { n, text: "x".repeat(100) } });
      }
      await received;
      times.push((performance.now() - began) / ITEMS);
    }
    const used = (await ask(server, { word: "cpu" })) - busy;
    times.sort((a, b) => a - b);
    return {
      cpu: (used * 1_000) / (times.length * ITEMS * tabs),
      ...{ heap, rss, settled },
      broadcast: times[Math.floor(times.length / 2)],
    };
  } finally {
    stop();
  }
};

/** What a joined tab takes in memory, and how long a message to all of them takes. */
export const tabs = async (_variants, { tabs: count, rounds }) => {
  const data = {};
  for (const kind of KINDS) {
    data[kind] = await measure(kind, count, Math.max(3, rounds));
    console.error(`tabs ${kind}`);
  }
  const head = [
    "server",
    "bytes of heap a tab",
    "resident bytes a tab",
    "of these without the young generation's growth",
    "ms a broadcast",
    "µs of processor a message and tab",
  ];
  const rows = KINDS.map((kind) => [
    kind,
    fixed(data[kind].heap),
    fixed(data[kind].rss),
    fixed(data[kind].settled),
    fixed(data[kind].broadcast, 1),
    fixed(data[kind].cpu, 1),
  ]);
  return {
    text: `### ${count.toLocaleString("en")} joined tabs in one process\n\n${table(head, rows)}`,
    data,
  };
};
