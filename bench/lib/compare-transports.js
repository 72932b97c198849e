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

const sample = async (transport, { seconds, warm, cpus, pace }) => {
  const subscriber = await startWorker(transport, cpus.subscriber);
  const publisher = await startWorker(transport, cpus.publisher);
  try {
    await subscriber.ask("subscribe");
    const run = async (task, options) => {
      await subscriber.ask("reset");
      const sent = await publisher.ask(task, options);
      const figures = await arrived(subscriber, sent);
      return { ...figures, lost: sent - figures.got };
    };
    await run("burst", { seconds: warm, window: WINDOW });
    const burst = await run("burst", { seconds, window: WINDOW });
    const paced = await run("paced", { seconds, rate: pace });
    return { burst, paced };
  } finally {
    await subscriber.stop();
    await publisher.stop();
  }
};

/**
 * Messages a second from one process to another through a broker, and how long one is under way, of
 * each transport in turn, at a pair's `pace` of messages a second. Ratios are to the raw client of
 * the same round.
 */
export const compareTransports = async (pairs, options) => {
  const paceOf = (name) =>
    pairs.find(({ raw, ours }) => raw === name || ours === name).pace ?? 2_000;
  const names = [...new Set(pairs.flatMap(({ raw, ours }) => [raw, ours]))];
  const samples = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const name of round % 2 ? names.toReversed() : names) {
      samples.push({ round, name, ...(await sample(name, { ...options, pace: paceOf(name) })) });
    }
  }
  const of = (name, figure) => samples.filter((it) => it.name === name).map(figure);
  const rows = pairs.flatMap(({ raw, ours, target }) =>
    [raw, ours].map((name) => {
      const rates = of(name, ({ burst }) => burst.rate);
      const ratios = rates.map((rate, round) => rate / of(raw, ({ burst }) => burst.rate)[round]);
      const lost = of(name, ({ burst, paced }) => burst.lost + paced.lost);
      return [
        name,
        fixed(median(rates)),
        fixed(median(ratios), 2),
        `${fixed(Math.min(...ratios), 2)} to ${fixed(Math.max(...ratios), 2)}`,
        name === ours ? fixed(target, 2) : "",
        fixed(median(of(name, ({ paced }) => paced.p50)), 0),
        fixed(median(of(name, ({ paced }) => paced.p99)), 0),
        String(lost.reduce((sum, it) => sum + it, 0)),
      ];
    }),
  );
  const head = ["", "messages/s", "ratio", "least to most", "target", "p50 µs", "p99 µs", "lost"];
  return { text: table(head, rows), data: samples };
};
