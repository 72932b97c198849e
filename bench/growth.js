import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startPinned } from "./lib/child.js";
import { progress } from "./lib/progress.js";
import { fixed, table } from "./lib/text.js";

const STORES = ["memory", "sqlite", "redis"];
const SUBSCRIPTIONS = [1, 10, 100, 1_000, 10_000, 100_000];
const PROCESSES = [1, 2, 3, 4];

const stepsTo = (sessions) => {
  const steps = [];
  for (let step = 1_000; step <= sessions; step *= 10) steps.push(step);
  return steps;
};

/** How much more the last point costs than the first, in words. */
const sentence = (what, points, figure, unit) => {
  const [first, last] = [points[0], points.at(-1)];
  const times = last[figure] / first[figure];
  return `${what}: ${fixed(first[figure], 1)} µs with ${first[unit].toLocaleString("en")}, ${fixed(last[figure], 1)} µs with ${last[unit].toLocaleString("en")}, which is ${fixed(times, 1)} times as much.`;
};

const stores = async (sessions, advance) => {
  const data = {};
  for (const name of STORES) {
    const child = await startPinned("grow-store.js", [name, stepsTo(sessions).join(",")]);
    await child.stop();
    data[name] = child.first;
    advance(`growth ${name}`);
  }
  const rows = Object.entries(data).flatMap(([name, points]) =>
    points.map((it) => [
      name,
      it.sessions.toLocaleString("en"),
      ...["read", "write", "list"].map((figure) => fixed(it[figure], 1)),
    ]),
  );
  const sentences = Object.entries(data).map(
    ([name, points]) =>
      `- ${sentence(`To read and write one in ${name}`, points, "write", "sessions")}`,
  );
  return {
    data,
    text: `### Sessions in a store\n\nMicroseconds, medians: to open one; to open one and write a key; to list a user's four.\n\n${table(["store", "sessions", "read", "write", "list"], rows)}\n\n${sentences.join("\n")}`,
    chart: {
      name: "stores",
      kind: "lines",
      title: "To open a session and write a key",
      x: "sessions in the store",
      y: "µs",
      series: Object.entries(data).map(([name, points]) => ({
        name,
        points: points.map(({ sessions: count, write }) => [count, write]),
      })),
    },
  };
};

const subscriptions = async (advance) => {
  const points = [];
  for (const count of SUBSCRIPTIONS) {
    const child = await startPinned("time-pubsub.js", [
      "match",
      "lanai",
      String(count),
      "wildcards",
    ]);
    await child.stop();
    const nodeArgs = ["--expose-gc"];
    const rounds = await startPinned("time-pubsub.js", ["round", String(count)], { nodeArgs });
    await rounds.stop();
    const { held, all, publish } = rounds.first;
    points.push({ subscriptions: count, match: 1e6 / child.first.rate, held, all, publish });
    advance(`growth ${count} subscriptions`);
  }
  const rows = points.map(({ subscriptions: count, match, held, all, publish }) => [
    count.toLocaleString("en"),
    fixed(match, 2),
    ...[all, publish].flatMap((it) => [fixed(it.micros, 2), fixed(it.bytes)]),
    count < 1_000 ? "" : fixed(held),
  ]);
  const head = ["subscriptions", "µs to find a subject's", "µs a round", "bytes a round"];
  head.push("µs a publish", "bytes a publish", "bytes held each");
  const flat = points.map(({ subscriptions: count, all }) => ({
    subscriptions: count,
    all: all.micros,
  }));
  return {
    data: points,
    text: `### Subscriptions in one process\n\nA round is subscribe, publish to that handler and to another, unsubscribe, in one process; bytes are what it allocates.\n\n${table(head, rows)}\n\n- ${sentence("To find who has subscribed a subject", points, "match", "subscriptions")}\n- ${sentence("To subscribe, publish and unsubscribe", flat, "all", "subscriptions")}`,
    chart: {
      name: "subscriptions",
      kind: "lines",
      title: "To find who has subscribed a subject",
      x: "subscriptions",
      y: "µs",
      series: [{ name: "wildcards", points: points.map((it) => [it.subscriptions, it.match]) }],
    },
  };
};

const share = fileURLToPath(new URL("lib/share-redis.js", import.meta.url));

const together = async (count, ms) => {
  const workers = Array.from({ length: count }, () => fork(share, [String(ms)]));
  await Promise.all(workers.map((worker) => once(worker, "message")));
  const rates = workers.map((worker) => once(worker, "message"));
  for (const worker of workers) worker.send("go");
  const all = await Promise.all(rates);
  for (const worker of workers) if (worker.connected) worker.disconnect();
  return all.reduce((sum, [rate]) => sum + rate, 0);
};

const processes = async (seconds, advance) => {
  const points = [];
  for (const count of PROCESSES) {
    points.push({ processes: count, rate: await together(count, seconds * 1000) });
    advance(`growth ${count} processes`);
  }
  const rows = points.map((it) => [String(it.processes), fixed(it.rate)]);
  const [first, last] = [points[0], points.at(-1)];
  return {
    data: points,
    text: `### Processes on one Redis\n\n${table(["processes", "reads and writes a second"], rows)}\n\n- ${last.processes} processes do ${fixed(last.rate / first.rate, 2)} times as much as one; they, Redis and whatever else runs share the machine's cores.`,
    chart: {
      name: "processes",
      kind: "bars",
      title: "Reads and writes of sessions a second, by processes on one Redis",
      rows: points.map((it) => ({ label: String(it.processes), value: it.rate, isOurs: true })),
      format: (value) => fixed(value),
    },
  };
};

/** How cost grows: with sessions in a store, with subscriptions, with processes on one Redis. */
export const growth = async (_variants, { sessions, seconds }) => {
  const advance = progress(STORES.length + SUBSCRIPTIONS.length + PROCESSES.length);
  const parts = [
    await stores(sessions, advance),
    await subscriptions(advance),
    await processes(seconds, advance),
  ];
  return {
    text: parts.map(({ text }) => text).join("\n\n"),
    data: parts.map(({ data }) => data),
    charts: parts.map(({ chart }) => chart),
  };
};
