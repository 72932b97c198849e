// Mutation testing: `npm run mutate -- flash`, with several packages one after another. A seeded sample of
// mutants, each run against only the tests that reach it, the fastest first. What is known stays when it
// is stopped, for as long as the sources are the same; with other tests survivors are tried again.
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine } from "./evidence/machine.js";
import { record } from "./evidence/record.js";
import { mutantsOf } from "./mutate/mutants.js";
import { fates, Runner } from "./mutate/vitest.js";
import { root } from "./node.js";

const cache = join(root, "node_modules/.cache/mutate");
const explained = JSON.parse(readFileSync(join(root, "scripts/mutate/explained.json"), "utf8"));

const read = (file) => readFileSync(join(root, file), "utf8");
const json = (file) => JSON.parse(readFileSync(file, "utf8"));

/** A repeatable order (mulberry32): the first of it are the sample. */
const shuffled = (items, seed) => {
  let state = seed | 0;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return items
    .map((item) => ({ item, by: random() }))
    .sort((one, other) => one.by - other.by)
    .map(({ item }) => item);
};

const sourcesOf = (name) =>
  globSync(`packages/${name}/src/**/*.ts`, { cwd: root })
    .filter((file) => !/\/src\/(testing\/|testing\.ts|index\.ts)/.test(file))
    .sort();

const digestOf = (files, more = "") => {
  const hash = createHash("sha256").update(more);
  for (const file of files) hash.update(read(file));
  return hash.digest("hex");
};

const planOf = (name, count, seed) => {
  const all = sourcesOf(name).flatMap((file) => mutantsOf(file, read(file)));
  const sample = shuffled(all, seed).slice(0, count);
  return {
    root: root.replace(/\/$/, ""),
    sources: digestOf(sourcesOf(name), `${count} ${seed}`),
    tests: digestOf(globSync(`packages/${name}/test/**/*.ts`, { cwd: root }).sort()),
    of: all.length,
    mutants: sample.map((mutant, n) => ({ ...mutant, n })),
  };
};

/** What is known of the same mutants. With other tests those that had survived are tried again. */
const continued = (plan, known) => {
  if (known.sources !== plan.sources) return plan;
  if (known.tests === plan.tests) return known;
  const isSettled = ({ status }) => status === "killed";
  const mutants = known.mutants.map((it) => (isSettled(it) ? it : { ...it, status: undefined }));
  return { ...plan, mutants };
};

const mustPass = async (options, files) => {
  const runner = new Runner(options);
  const { status, file, test } = await runner.run({ mutant: -1, files }, 60 * 60_000);
  runner.end();
  if (status !== "passed") throw new Error(`Without a mutant: ${status} ${file} ${test}`);
};

/** Which test files reach which mutants, and how long each takes. */
const reachOf = async (plan, tests) => {
  const reached = `${plan}.reached`;
  rmSync(reached, { force: true });
  await mustPass({ plan, reached }, tests);
  return readFileSync(reached, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
};

/** Nothing that fails without a mutant could tell one. */
const refuseFalseDeaths = async (file, { reach }) => {
  const tests = reach.map((it) => it.file);
  await mustPass({ plan: file }, tests);
};

const explanationOf = ({ file, kind, text, start, end }) => {
  const source = explained[file] ?? [];
  const code = read(file).slice(start, end);
  return source.find(
    (it) => it.kind === kind && it.text === text && (it.code === undefined || it.code === code),
  )?.why;
};

const named = (mutant) => `${mutant.file}:${mutant.line} ${mutant.kind}`;

const summaryOf = (name, { of, mutants }) => {
  const count = (status) => mutants.filter((it) => it.status === status).length;
  const killed = count("killed");
  const left = mutants.filter((it) => it.status === "survived" || it.status === "unreached");
  const open = left.filter((mutant) => !explanationOf(mutant));
  const share = `${((killed / mutants.length) * 100).toFixed(1)} %`;
  const lines = [
    `${name}: ${killed} of ${mutants.length} mutants killed (${share}), a sample of ${of}; ${left.length - open.length} others explained`,
    ...open.map((mutant) => `  ${mutant.status}: ${named(mutant)}`),
  ];
  return lines;
};

/** The packages of which every mutant was tried, also in earlier runs. */
const finished = () =>
  globSync("*.json", { cwd: cache })
    .sort()
    .map((file) => [file.replace(/\.json$/, ""), json(join(cache, file))])
    .filter(([, { mutants }]) => mutants.every(({ status }) => status));

const mutate = async (name, { count, seed }) => {
  if (sourcesOf(name).length === 0) throw new Error(`There is no package ${name}.`);
  const file = join(cache, `${name}.json`);
  const plan = continued(planOf(name, count, seed), existsSync(file) ? json(file) : {});
  const save = () => writeFileSync(file, JSON.stringify(plan, null, 1));
  save();
  const left = plan.mutants.filter(({ status }) => !status);
  if (plan.reach && left.length > 0) await refuseFalseDeaths(file, plan);
  // Others' tests may reach it as well, but its own are what must hold it.
  plan.reach ??= await reachOf(file, [`packages/${name}/test/`]);
  save();
  const fateOf = fates(file, plan.reach);
  for (const mutant of left) {
    Object.assign(mutant, await fateOf(mutant));
    save();
    const done = plan.mutants.filter(({ status }) => status).length;
    console.log(
      `[${done}/${plan.mutants.length}] ${mutant.status ?? "undecided"} ${named(mutant)}`,
    );
  }
  return summaryOf(name, plan);
};

const run = async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: "string", default: "300" },
      seed: { type: "string", default: "1" },
    },
  });
  if (positionals.length === 0) throw new Error("Which packages? npm run mutate -- flash session");
  mkdirSync(cache, { recursive: true });
  const options = { count: Number(values.count), seed: Number(values.seed) };
  for (const name of positionals) console.log(`\n${(await mutate(name, options)).join("\n")}\n`);
  const text = finished()
    .flatMap(([name, plan]) => summaryOf(name, plan))
    .map((line) => line.replace(/^(\s*)/, "$1- "))
    .join("\n");
  const note =
    "- Survivors got tests or an explanation and were tried again: of another sample (`--seed`) fewer would be killed.";
  record("mutation", { about: machine(), text: `${text}\n${note}` });
};

run().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
