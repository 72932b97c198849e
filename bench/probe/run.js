// Grades a set-up: see bench/README.md. `npm run probe` runs this on the workspace's Node.

import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isDeepStrictEqual, parseArgs, promisify } from "node:util";
import { machine } from "../../scripts/evidence/machine.js";
import { record } from "../../scripts/evidence/record.js";
import { grade } from "./grade.js";
import { comparison, report } from "./report.js";

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Ours and the peers, in the order of the README's table. */
const FIXTURES = [
  "lanai-session",
  "koa-session",
  "koa-generic-session",
  "koa-session-minimal",
  "express-session",
  "fastify-session",
  "lanai-sealed",
  "iron-session",
  "fastify-secure-session",
];
const README = here("../../README.md");
const RESULTS = here("results.json");
const MARKS = /(?<=<!-- probe -->\n)[\s\S]*(?=<!-- \/probe -->)/;

const load = async (file) => {
  if (!existsSync(file)) throw new TypeError(`There is no file ${file}.`);
  const { default: setUp, title } = await import(pathToFileURL(file).href);
  if (typeof setUp !== "function") {
    throw new TypeError(`${file} has no function as its default export.`);
  }
  return { setUp, title };
};

/** Each in a process of its own: some leave timers behind. */
const gradeFixtures = async () => {
  const graded = [];
  for (const name of FIXTURES) {
    const { stdout } = await run(process.execPath, [
      here("run.js"),
      "--json",
      here(`set-ups/${name}.js`),
    ]);
    graded.push({ name, ...JSON.parse(stdout) });
    console.error(`graded ${name}`);
  }
  return graded;
};

const runFixtures = async ({ write, check }) => {
  const graded = await gradeFixtures();
  console.log(comparison(graded));
  record("probe", { about: machine(), text: comparison(graded) });
  if (write) {
    writeFileSync(RESULTS, `${JSON.stringify(graded, null, 2)}\n`);
    const readme = readFileSync(README, "utf8");
    writeFileSync(
      README,
      readme.replace(MARKS, () => `\n${comparison(graded)}\n\n`),
    );
  } else if (check && !isDeepStrictEqual(graded, JSON.parse(readFileSync(RESULTS, "utf8")))) {
    throw new TypeError(
      "The grades differ from bench/probe/results.json: npm run probe -- --write",
    );
  }
};

const probe = async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: Object.fromEntries(
      ["json", "write", "check"].map((name) => [name, { type: "boolean", default: false }]),
    ),
  });
  const [file, ...more] = positionals;
  if (more.length > 0) throw new TypeError("The probe grades one module at a time.");
  if (file === undefined) return runFixtures(values);
  const { setUp, title } = await load(resolve(process.env.INIT_CWD ?? ".", file));
  const grades = await grade(setUp);
  console.log(values.json ? JSON.stringify({ title, grades }) : report(grades));
};

// A set-up's stray rejection is not the probe's end.
process.on("unhandledRejection", () => {});
probe().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
