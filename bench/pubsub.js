import { startPinned } from "./lib/child.js";
import { fixed, median, table } from "./lib/text.js";

const PUBLISHERS = ["eventemitter", "eventemitter2", "lanai"];
const MATCHERS = ["qlobber", "eventemitter2", "lanai"];
const WORKLOADS = [
  { count: 10_000, kind: "wildcards" },
  { count: 100_000, kind: "wildcards" },
  { count: 100_000, kind: "mixed" },
];

const run = async (...args) => {
  const child = await startPinned("time-pubsub.js", args.map(String));
  await child.stop();
  console.error(`pubsub ${args.join(" ")}`);
  return child.first;
};

/** In turn, so that what disturbs the machine disturbs all. */
const rounds = async (count, names, measure) => {
  const samples = [];
  for (let round = 0; round < count; round++) {
    for (const name of round % 2 ? names.toReversed() : names) {
      samples.push({ round, name, ...(await measure(name)) });
    }
  }
  return samples;
};

const figures = (samples, name, figure) =>
  samples.filter((it) => it.name === name).map((it) => it[figure]);

const publishing = async (options) => {
  const samples = await rounds(options.rounds, PUBLISHERS, (name) =>
    run("publish", name, options.seconds),
  );
  const base = figures(samples, "eventemitter", "rate");
  const rows = PUBLISHERS.map((name) => {
    const rates = figures(samples, name, "rate");
    const ratios = rates.map((rate, i) => rate / base[i]);
    const spread = `${fixed(Math.min(...ratios), 2)} to ${fixed(Math.max(...ratios), 2)}`;
    const target = name === "lanai" ? "0.65" : "";
    return [name, fixed(median(rates)), fixed(median(ratios), 2), spread, target];
  });
  const head = ["", "publishes/s", "ratio", "least to most", "target"];
  return {
    data: samples,
    text: `### To one handler, 128 bytes of JSON\n\n${table(head, rows)}`,
  };
};

const matching = async ({ count, kind }, options) => {
  const samples = await rounds(options.rounds, MATCHERS, (name) => run("match", name, count, kind));
  const [{ matched }] = samples;
  const wrong = samples.find((it) => it.matched !== matched);
  if (wrong) throw new Error(`${wrong.name} finds ${wrong.matched} matches, others ${matched}`);
  const rows = MATCHERS.map((name) => [
    name,
    ...[0, 3, 3].map((digits, i) =>
      fixed(median(figures(samples, name, ["rate", "add", "remove"][i])), digits),
    ),
  ]);
  const head = ["", "subjects/s", "add µs", "remove µs"];
  const what = kind === "mixed" ? "a fifth `*`, a tenth `>`" : "all with wildcards";
  return {
    data: { count, kind, samples },
    text: `### Matching, ${count.toLocaleString("en")} subscriptions, ${what}\n\n${table(head, rows)}`,
  };
};

/** Pub/sub in one process: what ours costs, and what finding the subscribers does. */
export const pubsub = async (_, options) => {
  const parts = [await publishing(options)];
  for (const workload of WORKLOADS) parts.push(await matching(workload, options));
  return {
    text: parts.map(({ text }) => text).join("\n\n"),
    data: parts.map(({ data }) => data),
  };
};
