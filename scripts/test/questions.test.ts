import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import questions from "../../docs/questions.json" with { type: "json" };
import { headingsOf } from "../docs/markdown.js";
import { SECTIONS } from "../docs/pages.js";

const read = (path: string) => readFileSync(join(import.meta.dirname, "../..", path), "utf8");
const navigation = new Set(SECTIONS.flatMap(({ pages }) => pages.map(({ to }) => to)));

test.each(questions)("$question: its page is in the navigation and has the heading", (it) => {
  expect(navigation).toContain(`${it.page}.md`);
  expect(headingsOf(read(`docs/${it.page}.md`))).toContain(it.heading);
});

test("some of the questions are those of koa-session's and express-session's trackers", () => {
  const from = (repository: string) =>
    questions.filter(({ asked }) => asked?.startsWith(`${repository}#`));
  expect(questions.length).toBeGreaterThanOrEqual(10);
  expect(from("koajs/session").length).toBeGreaterThanOrEqual(3);
  expect(from("expressjs/session").length).toBeGreaterThanOrEqual(3);
});
