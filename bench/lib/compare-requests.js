import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Browser } from "./browser.js";
import { cpuSeconds, startVariant } from "./child.js";
import { HOST, LOAD_CPUS, PORT, SERVER_CPU } from "./config.js";
import { keepAwake } from "./keep-awake.js";
import { judgeNoise, watchCore } from "./noise.js";
import { progress } from "./progress.js";
import { SCENARIOS } from "./scenarios.js";
import { fixed, median, table } from "./text.js";
import { isBare, isOurs } from "./variants.js";

const run = promisify(execFile);
const script = fileURLToPath(new URL("rotate-cookies.lua", import.meta.url));

const CONNECTIONS = 64;
const SESSIONS = 256;
const load = async (url, { path, cookies }, cookieFile, seconds) => {
  const { stdout } = await run("taskset", [
    ...[
      "-c",
      LOAD_CPUS,
      "wrk",
      `-t${LOAD_CPUS.split(",").length}`,
      `-c${CONNECTIONS}`,
      `-d${seconds}s`,
      "--timeout",
      "5s",
    ],
    ...["-s", script, url, "--", path, cookies ? cookieFile : "-"],
  ]);
  return JSON.parse(stdout.slice(stdout.lastIndexOf("JSON{") + 4));
};

const cookiesOf = async (name, port) => {
  const lines = [];
  for (let i = 0; i < SESSIONS; i++) {
    const browser = new Browser(port);
    if (isBare(name)) browser.cookies.set("sid", `${"0123456789abcdef".repeat(3)}${i}`);
    else await browser.get("/login");
    lines.push(browser.cookie);
  }
  return lines.join("\n");
};

const start = async (name, port, folder) => {
  const server = await startVariant(name, port);
  const cookieFile = join(folder, name);
  writeFileSync(cookieFile, await cookiesOf(name, port));
  return { name, server, cookieFile, url: `http://${HOST}:${port}` };
};

const sample = async ({ name, server, cookieFile, url }, scenario, { warm, seconds }) => {
  await load(url, SCENARIOS[scenario], cookieFile, warm);
  const disturbance = watchCore(SERVER_CPU);
  const before = cpuSeconds(server.pid);
  const result = await load(url, SCENARIOS[scenario], cookieFile, seconds);
  const cpu = cpuSeconds(server.pid) - before;
  return {
    scenario,
    name,
    perSecond: result.requests / result.seconds,
    cpuMicros: (cpu / result.requests) * 1e6,
    p99: result.p99,
    errors: result.errors,
    disturbed: disturbance(cpu),
  };
};

/** Every server in turn, another one first each round. */
const measureScenario = async (scenario, round, names, folder, options) => {
  const { advance } = options;
  const running = [];
  const samples = [];
  try {
    for (const [i, name] of names.entries()) running.push(await start(name, PORT + i, folder));
    for (let i = 0; i < running.length; i++) {
      const variant = running[(i + round) % running.length];
      const taken = { round, ...(await sample(variant, scenario, options)) };
      samples.push(taken);
      advance(`round ${round} ${scenario} ${taken.name}: ${fixed(taken.perSecond)} requests/s`);
    }
    return samples;
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()));
  }
};

/**
 * New servers for each round and scenario: two processes of one program differ by a tenth for as long
 * as they live, and what they did before shows, too.
 */
const measure = async (names, scenarios, rounds, options) => {
  const folder = mkdtempSync(join(tmpdir(), "lanai-bench-"));
  const letSleep = keepAwake(LOAD_CPUS.split(","));
  const samples = [];
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const scenario of scenarios) {
        samples.push(...(await measureScenario(scenario, round, names, folder, options)));
      }
    }
    return samples;
  } finally {
    await letSleep();
    rmSync(folder, { recursive: true });
  }
};

/** Of each variant and scenario the medians; the ratio is to the base in the same round. */
const summarize = (samples, base, name, scenario) => {
  const of = (wanted) => samples.filter((it) => it.name === wanted && it.scenario === scenario);
  const mine = of(name);
  const bases = of(base);
  const ratios = mine.map((it, i) => it.perSecond / bases[i].perSecond);
  return {
    ratio: median(ratios),
    least: Math.min(...ratios),
    most: Math.max(...ratios),
    perSecond: median(mine.map((it) => it.perSecond)),
    cpuMicros: median(mine.map((it) => it.cpuMicros)),
    p99: median(mine.map((it) => it.p99)),
  };
};

const scenarioTable = (samples, base, names, scenario) => {
  const rows = names.map((name) => {
    const it = summarize(samples, base, name, scenario);
    return [
      name,
      fixed(it.ratio, 2),
      `${fixed(it.least, 2)} to ${fixed(it.most, 2)}`,
      fixed(it.perSecond),
      fixed(it.cpuMicros, 1),
      fixed(it.p99, 2),
    ];
  });
  const head = ["variant", "ratio", "least to most", "requests/s", "CPU µs/request", "p99 ms"];
  return `### ${scenario}: ${SCENARIOS[scenario].label}\n\n${table(head, rows)}`;
};

const chartOf = (samples, base, names, scenario) => {
  const rows = names
    .filter((name) => name !== base)
    .map((name) => ({
      label: name,
      value: summarize(samples, base, name, scenario).ratio,
      isOurs: isOurs(name),
    }))
    .sort((one, other) => other.value - one.value);
  const title = `${SCENARIOS[scenario].label}: requests a second, as a part of ${base}'s`;
  return { name: scenario, kind: "bars", title, rows, format: (value) => fixed(value, 2) };
};

const verdicts = (samples, base, { name, ratios }, scenarios) =>
  scenarios
    .filter((scenario) => scenario in ratios)
    .map((scenario) => {
      const { ratio } = summarize(samples, base, name, scenario);
      const verdict = ratio >= ratios[scenario] ? "met" : "missed";
      return `- ${name}, ${scenario} (${SCENARIOS[scenario].label}): ${fixed(ratio, 3)}, target ${ratios[scenario]}: ${verdict}`;
    })
    .join("\n");

/**
 * Requests a second over keep-alive connections, each server alone on its core. `target`: a variant's
 * name, and what it is held to in some scenarios, as a part of the base's throughput.
 */
export const compareRequests = async (base, variants, target, options) => {
  const { rounds, seconds, warm, scenarios: letters } = options;
  const names = [...new Set([base, ...variants])];
  const scenarios = [...letters];
  const advance = progress(names.length * scenarios.length * rounds);
  const samples = await measure(names, scenarios, rounds, { seconds, warm, advance });
  const failed = samples.filter((it) => it.errors > 0).map((it) => `${it.name} ${it.scenario}`);
  if (failed.length > 0) throw new Error(`Requests failed: ${failed.join(", ")}`);

  const noise = judgeNoise(samples.map(({ disturbed }) => disturbed));
  const sections = [
    noise.text,
    `Medians of ${rounds} rounds of ${seconds} s, each after ${warm} s and with new servers; ${CONNECTIONS} connections, ${SESSIONS} sessions. The ratio is to ${base} in the same round.`,
    ...scenarios.map((scenario) => scenarioTable(samples, base, names, scenario)),
    // What a noisy run says of a target is nothing.
    ...(names.includes(target.name) && !noise.isTooNoisy
      ? [verdicts(samples, base, target, scenarios)]
      : []),
  ];
  return {
    text: sections.join("\n\n"),
    data: samples,
    isTooNoisy: noise.isTooNoisy,
    charts: scenarios.map((scenario) => chartOf(samples, base, names, scenario)),
  };
};
