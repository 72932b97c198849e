import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { fixed, median, table } from "./text.js";

const WINDOW = 256;
const worker = fileURLToPath(new URL("transport-worker.js", import.meta.url));

/** One of its processes, on a core of its own. */
const startWorker = async (transport, cpu) => {
  const child = spawn("taskset", ["-c", cpu, process.execPath, worker, transport], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    env: { ...process.env, NODE_ENV: "production" },
  });
  const exited = once(child, "exit");
  const answer = async () => {
    const [message] = await Promise.race([
      once(child, "message"),
      exited.then(() => Promise.reject(new Error(`the process of ${transport} has ended`))),
    ]);
    return message.answer;
  };
  await answer();
  return {
    ask(task, options) {
      const answered = answer();
      child.send({ task, options });
      return answered;
    },
    async stop() {
      child.disconnect();
      await exited;
    },
  };
};

const arrived = async (subscriber, sent) => {
  for (let waited = 0; waited < 2_000; waited += 20) {
    const figures = await subscriber.ask("figures");
    if (figures.got >= sent) return figures;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return subscriber.ask("figures");
};

/** What one transport does in new processes, after as much of the same to warm up. */
const sample = async (transport, task, { seconds, warm, cpus, rate }) => {
  const subscriber = await startWorker(transport, cpus.subscriber);
  const publisher = await startWorker(transport, cpus.publisher);
  try {
    await subscriber.ask("subscribe");
    const run = async (time) => {
      await subscriber.ask("reset");
      const options = { seconds: time, window: WINDOW, rate };
      const { sent, ...published } = await publisher.ask(task, options);
      const figures = await arrived(subscriber, sent);
      return { ...figures, ...published, lost: sent - figures.got };
    };
    await run(warm);
    return await run(seconds);
  } finally {
    await subscriber.stop();
    await publisher.stop();
  }
};

/** The raw client behind a transport, whose rate is the limit for all that are compared with it. */
const limitOf = (pairs, name) => {
  const pair = pairs.find(({ ours }) => ours === name);
  return pair ? limitOf(pairs, pair.raw) : name;
};

/** Each in turn: first as many messages as go, then all at a tenth of what the raw client has done. */
const takeSamples = async (pairs, { rounds, ...options }) => {
  const names = [...new Set(pairs.flatMap(({ raw, ours }) => [raw, ours]))];
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    const inTurn = round % 2 ? names.toReversed() : names;
    const bursts = {};
    for (const name of inTurn) bursts[name] = await sample(name, "burst", options);
    for (const name of inTurn) {
      const rate = Math.round(bursts[limitOf(pairs, name)].rate / 10);
      const paced = await sample(name, "paced", { ...options, rate });
      samples.push({ round, name, burst: bursts[name], paced: { ...paced, rate } });
    }
  }
  return samples;
};

const leastToMost = (numbers, digits) =>
  `${fixed(Math.min(...numbers), digits)} to ${fixed(Math.max(...numbers), digits)}`;

const verdict = (holds) => (holds ? "met" : "missed");

/**
 * Messages a second from one process to another through a broker, and how long one is under way, of
 * each of `pairs`: `ours` beside `raw`, of whose rate it keeps at least `target` and to whose p99 it
 * adds less than `added` microseconds. Ratios and differences are of one round.
 */
export const compareTransports = async (pairs, options) => {
  const samples = await takeSamples(pairs, options);
  const of = (name, figure) => samples.filter((it) => it.name === name).map(figure);
  const raws = [...new Set(pairs.map(({ raw }) => limitOf(pairs, raw)))];

  const lost = (name) =>
    String(of(name, ({ burst, paced }) => burst.lost + paced.lost).reduce((sum, it) => sum + it));
  const rates = (name) => of(name, ({ burst }) => burst.rate);
  const speed = [...raws.map((ours) => ({ ours })), ...pairs].map(({ raw, ours, target }) => {
    const ratios = raw ? rates(ours).map((rate, round) => rate / rates(raw)[round]) : [];
    const half = raw ? median(ratios) : 0;
    return [
      ours,
      fixed(median(rates(ours))),
      ...(raw ? [raw, fixed(half, 2), leastToMost(ratios, 2)] : ["", "", ""]),
      ...(target ? [fixed(target, 2), verdict(half >= target)] : ["", ""]),
      lost(ours),
    ];
  });

  const p99 = (name) => of(name, ({ paced }) => paced.p99);
  const delay = [...raws.map((ours) => ({ ours })), ...pairs].map(({ raw, ours, added }) => {
    const differences = raw ? p99(ours).map((it, round) => it - p99(raw)[round]) : [];
    const half = raw ? median(differences) : 0;
    return [
      ours,
      fixed(median(of(ours, ({ paced }) => paced.rate))),
      fixed(median(of(ours, ({ paced }) => paced.p50))),
      fixed(median(p99(ours))),
      fixed(median(of(ours, ({ paced }) => paced.late))),
      ...(raw ? [raw, fixed(half), leastToMost(differences)] : ["", "", ""]),
      ...(added ? [fixed(added), verdict(half < added)] : ["", ""]),
    ];
  });

  const speedHead = ["", "messages/s", "beside", "ratio", "least to most", "target", "", "lost"];
  const delayHead = [
    ...["", "at messages/s", "p50 µs", "p99 µs", "late p99 µs"],
    ...["beside", "added p99 µs", "least to most", "target", ""],
  ];
  return {
    text: `### As many as go\n\n${table(speedHead, speed)}\n\n### At a tenth of that of the raw client\n\n${table(delayHead, delay)}`,
    data: samples,
  };
};
