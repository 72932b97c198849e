// Writes docs/evidence.md from what the tools have recorded: `npm run evidence`. With `-- --run` it runs
// all of them first, with `-- --run micro probe` some.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { page, TOPICS } from "./evidence/page.js";
import { recorded } from "./evidence/record.js";
import { root } from "./node.js";

const folder = join(root, "docs/evidence");

const run = (names) => {
  const unknown = names.filter((name) => !TOPICS.some((topic) => topic.name === name));
  if (unknown.length > 0) {
    const known = TOPICS.map(({ name }) => name).join(", ");
    throw new TypeError(`There is no topic ${unknown.join(", ")}: there are ${known}`);
  }
  for (const { name, command } of TOPICS) {
    if (names.length > 0 && !names.includes(name)) continue;
    console.log(`== ${command}`);
    const { status } = spawnSync(command, { cwd: root, shell: true, stdio: "inherit" });
    if (status !== 0) console.log(`${command} failed: what was known of it stays`);
  }
};

const chartFile = (topic, chart, theme) => join(folder, `${topic}-${chart}-${theme}.svg`);

/** Takes over a new result: its charts become files of their own. */
const keep = (topic, { charts, about, text }) => {
  for (const file of readdirSync(folder)) {
    if (file.startsWith(`${topic}-`) && file.endsWith(".svg")) rmSync(join(folder, file));
  }
  for (const [chart, themes] of Object.entries(charts)) {
    for (const [theme, svg] of Object.entries(themes)) {
      writeFileSync(chartFile(topic, chart, theme), svg);
    }
  }
  const result = { about, text, charts: Object.keys(charts) };
  writeFileSync(join(folder, `${topic}.json`), `${JSON.stringify(result, null, 1)}\n`);
};

const kept = () =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((file) => file.endsWith(".json"))
      .map((file) => [
        file.replace(/\.json$/, ""),
        JSON.parse(readFileSync(join(folder, file), "utf8")),
      ]),
  );

const write = () => {
  mkdirSync(folder, { recursive: true });
  const names = new Set(TOPICS.map(({ name }) => name));
  for (const [topic, result] of Object.entries(recorded())) {
    if (!names.has(topic)) continue;
    if (result.isTooNoisy) console.log(`${topic}: the machine was too noisy, not taken over`);
    else keep(topic, result);
  }
  writeFileSync(join(root, "docs/evidence.md"), page(kept()));
};

const { argv } = process;
try {
  if (argv[2] === "--run") run(argv.slice(3));
  else if (argv.length > 2) throw new TypeError("npm run evidence, or npm run evidence -- --run …");
  write();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
