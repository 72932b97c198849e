import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { page, TOPICS } from "../evidence/page.js";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const results = Object.fromEntries(
  readdirSync(join(root, "docs/evidence"))
    .filter((file) => file.endsWith(".json"))
    .map((file) => [file.slice(0, -".json".length), JSON.parse(read(`docs/evidence/${file}`))]),
);

test("docs/evidence.md is what was recorded", () => {
  expect(read("docs/evidence.md")).toBe(page(results));
});

test("its charts are there, for light and for dark", () => {
  const files = [...page(results).matchAll(/(?:src|srcset)="(.+?)"/g)].map(([, file = ""]) => file);
  for (const file of files) expect(existsSync(join(root, "docs", file)), file).toBe(true);
});

test.for(TOPICS)("$command is a command of this workspace", ({ command }) => {
  const { scripts } = JSON.parse(read("package.json"));
  const [, name] = /^npm run (\S+)/.exec(command) ?? [];
  if (name === undefined) expect(command).toMatch(/^npm exec -- node scripts\/runtimes\.js$/);
  else expect(Object.keys(scripts)).toContain(name);
});

test("what nobody has measured is said to be so, and headings are below the page's", () => {
  const about = "- Date: today";
  const text = page({ micro: { about, text: "### a: left alone", charts: ["a"] } });
  expect(text).toContain(
    "## Requests a second\n\n    npm run bench -- http\n\nNot measured yet.\n",
  );
  expect(text).toContain("\n#### a: left alone\n");
  expect(text).toContain('srcset="evidence/micro-a-dark.svg"');
});
