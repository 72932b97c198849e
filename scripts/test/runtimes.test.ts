import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RUNTIMES, reportOf } from "../runtimes/list.js";
import { Runner } from "../runtimes/report.ts";
import { temporaryFolder } from "../services/server-process.ts";

const root = join(import.meta.dirname, "../..");

test("the README names the runtimes that .ci/run tries, and no other", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const [, claim = ""] = /They run on (.+?): `\.ci\/run` tries/.exec(readme) ?? [];
  const claimed = claim.replace("Node 22.13, 24 and 26", "Node 22.13, Node 24, Node 26");
  expect(claimed.split(/, | and /)).toEqual(RUNTIMES.map(({ name }) => name));
});

test.for(RUNTIMES)("$name is brought by a package of that version", ({ name, package: from }) => {
  const [runtime = "", version = ""] = name.toLowerCase().split(" ");
  expect(from.startsWith(`${runtime}@${version}`)).toBe(true);
});

test("each runtime has a report of its own", () => {
  expect(new Set(RUNTIMES.map(reportOf)).size).toBe(RUNTIMES.length);
});

test("a case that throws fails, and those after it run", async () => {
  const folder = temporaryFolder("runner");
  const written: unknown[] = [];
  const runner = new Runner({ write: (line) => void written.push(line) });
  runner.test("good", async () => {});
  runner.test("bad", () => Promise.reject(new Error("no")));
  runner.test("after", async () => {});
  const file = join(folder.path, "report.json");
  expect(await runner.run("here", file)).toBe(1);
  const { testResults } = JSON.parse(readFileSync(file, "utf8"));
  folder.remove();
  expect(testResults[0].assertionResults).toEqual([
    { status: "passed", fullName: "good" },
    { status: "failed", fullName: "bad" },
    { status: "passed", fullName: "after" },
  ]);
  expect(written.at(-1)).toBe("here: 2 passed, 1 failed");
});
