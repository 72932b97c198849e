import { cpuSeconds, startPinned } from "./lib/child.js";
import { SERVER_CPU } from "./lib/config.js";
import { judgeNoise, watchCore } from "./lib/noise.js";
import { progress } from "./lib/progress.js";
import { SCENARIOS } from "./lib/scenarios.js";
import { fixed, median, table } from "./lib/text.js";
import { isOnKoa, isOurs, needsRedis } from "./lib/variants.js";

const BASE = "bare-koa";
const FLOOR = "floor";

const sample = async (name, letters) => {
  const disturbance = watchCore(SERVER_CPU);
  const child = await startPinned("time-requests.js", [name, letters]);
  const disturbed = disturbance(cpuSeconds(child.pid));
  await child.stop();
  return { name, disturbed, micros: child.first };
};

/** In turn, so that what disturbs the machine disturbs all. */
const measure = async (names, letters, processes) => {
  const advance = progress(names.length * processes);
  const samples = [];
  for (let round = 0; round < processes; round++) {
    for (const name of round % 2 ? names.toReversed() : names) {
      samples.push({ round, ...(await sample(name, letters)) });
      advance(`micro ${name}`);
    }
  }
  return samples;
};

/**
 * Processor time of a request without sockets, in microseconds over bare Koa, and that divided by the
 * same of `floor`: medians of new processes.
 */
export const micro = async (variants, { scenarios: letters, processes }) => {
  const onKoa = variants.filter((it) => isOnKoa(it) && !needsRedis(it));
  const names = [...new Set([BASE, FLOOR, ...onKoa])];
  const samples = await measure(names, letters, processes);
  const scenarios = [...letters];
  const of = (name, scenario) =>
    median(samples.filter((it) => it.name === name).map(({ micros }) => micros[scenario]));
  const over = (name, scenario) => of(name, scenario) - of(BASE, scenario);
  const rows = names.map((name) => [
    name,
    ...scenarios.flatMap((it) =>
      name === BASE
        ? [fixed(of(name, it), 2), ""]
        : [fixed(over(name, it), 2), fixed(over(name, it) / over(FLOOR, it), 2)],
    ),
  ]);
  const head = [
    "variant",
    ...scenarios.flatMap((it) => [`${it}: ${SCENARIOS[it].label}`, `${it} / ${FLOOR}`]),
  ];
  const noise = judgeNoise(samples.map(({ disturbed }) => disturbed));
  const text = `${noise.text}\n\nMicroseconds of processor time, medians of ${processes} new processes each: of ${BASE} in all, of the others over it, and that divided by the same of ${FLOOR}.\n\n${table(head, rows)}`;
  const charts = scenarios.map((scenario) => ({
    name: scenario,
    kind: "bars",
    title: `${SCENARIOS[scenario].label}: microseconds over bare Koa`,
    rows: names
      .filter((name) => name !== BASE)
      .map((name) => ({
        label: name,
        value: Math.max(0, over(name, scenario)),
        isOurs: isOurs(name),
      }))
      .sort((one, other) => one.value - other.value),
    format: (value) => fixed(value, 1),
  }));
  return { text, data: samples, isTooNoisy: noise.isTooNoisy, charts };
};
