import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { lanai, socketIo } from "./lib/storm-client.js";
import { table } from "./lib/text.js";

const KINDS = {
  "@lanai/channels, in memory": ["lanai", lanai],
  "@lanai/channels, Redis": ["lanai-redis", lanai],
  "socket.io, connection state recovery": ["socket.io", socketIo],
};
const PAGES = 10;
/**
 * Each is followed by a pause; in the same order for all. They are those of the storm in Chromium
 * (`packages/channels/test/storm`) that happen to servers and connections; the others happen to pages,
 * of which a client in Node has none.
 */
const ACCIDENTS = [
  ...["cut", "stall", "kill", "offline", "standStill", "stop"],
  ...["cut", "standStill", "stall", "kill", "offline", "cut"],
];

/** A way to the server that can be cut and stalled. */
const startProxy = async (target) => {
  const sockets = new Set();
  let isOffline = false;
  const server = createServer((client) => {
    if (isOffline) {
      client.destroy();
      return;
    }
    const upstream = connect(target(), "127.0.0.1");
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(one);
      one.on("error", () => {});
      one.once("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const it of sockets) it.destroy();
  };
  return {
    port: server.address().port,
    cut,
    async offline() {
      isOffline = true;
      cut();
      await wait(200);
      isOffline = false;
    },
    async stall() {
      for (const it of sockets) it.pause();
      await wait(300);
      for (const it of sockets) it.destroy();
    },
    close: () => server.close(),
  };
};

const startServer = async (name) => {
  const script = fileURLToPath(new URL("lib/tabs-server.js", import.meta.url));
  const child = fork(script, [name], { execArgv: ["--expose-gc"] });
  const [{ port }] = await once(child, "message");
  return { child, port };
};

/** Plays one storm; counts what each page has lost, with and without a report, and doubled. */
const play = async ([name, client], rounds) => {
  let server = await startServer(name);
  const proxy = await startProxy(() => server.port);
  const pages = [];
  const shown = Array.from({ length: PAGES }, () => []);
  for (const [n, list] of shown.entries()) {
    pages.push(client(proxy.port, n, (it) => list.push(it)));
  }
  await Promise.all(pages.map((it) => it.joined));
  const published = [];
  let isOver = false;
  let n = 0;
  const publish = async () => {
    n += 1;
    const number = n;
    const { child } = server;
    const answer = once(child, "message", { signal: AbortSignal.timeout(2_000) });
    child.send({ word: "publish", item: { n: number }, answers: true });
    await answer;
    published.push(number);
  };
  const publishing = (async () => {
    while (!isOver) {
      await publish().catch(() => wait(20));
      await wait(2);
    }
  })();
  for (let round = 0; round < rounds; round++) {
    for (const what of ACCIDENTS) {
      await wait(400);
      if (what === "kill" || what === "stop") {
        server.child.kill(what === "kill" ? "SIGKILL" : "SIGTERM");
        server = await startServer(name);
      } else if (what === "standStill") {
        server.child.kill("SIGSTOP");
        await wait(300);
        server.child.kill("SIGCONT");
      } else {
        await proxy[what]();
      }
    }
  }
  // Until each page has shown something that was published after the last accident, or 30 seconds.
  const calm = n;
  const isBack = (list) => list.some((it) => it !== "gap" && it > calm);
  for (let turns = 0; turns < 300 && !shown.every(isBack); turns++) await wait(100);
  isOver = true;
  await publishing;
  const last = published.at(-1);
  for (let turns = 0; turns < 100 && !shown.every((it) => it.at(-1) === last); turns++) {
    await wait(100);
  }
  for (const it of pages) it.close();
  proxy.close();
  server.child.kill("SIGKILL");
  return count(shown, published);
};

const count = (shown, published) => {
  const result = { published: published.length, silent: 0, reported: 0, doubled: 0, disordered: 0 };
  for (const list of shown) {
    const numbers = list.filter((it) => it !== "gap");
    const seen = new Set(numbers);
    result.doubled += numbers.length - seen.size;
    result.disordered += numbers.filter((it, i) => i > 0 && it < numbers[i - 1]).length;
    const first = Math.min(...seen);
    for (const it of published) {
      if (it < first || seen.has(it)) continue;
      const at = list.findIndex((other) => other !== "gap" && other > it);
      const before = at < 0 ? list.length : at;
      let from = before;
      while (from > 0 && list[from - 1] === "gap") from -= 1;
      if (from < before) result.reported += 1;
      else result.silent += 1;
    }
  }
  return result;
};

/** What pages lose and see twice while connections are cut and stalled and the server is killed. */
export const storm = async (_variants, { rounds }) => {
  const data = {};
  for (const [name, kind] of Object.entries(KINDS)) {
    data[name] = await play(kind, rounds);
    console.error(`storm ${name}`);
  }
  const head = [
    "server",
    "published",
    "lost silently",
    "lost, reported",
    "doubled",
    "out of order",
  ];
  const rows = Object.entries(data).map(([name, it]) => [
    name,
    ...[it.published, it.silent, it.reported, it.doubled, it.disordered].map(String),
  ]);
  const text = `### ${PAGES} pages, ${rounds} rounds of ${ACCIDENTS.length} accidents\n\n${table(head, rows)}`;
  return { text, data };
};
