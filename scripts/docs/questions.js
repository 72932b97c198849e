// The page of common questions, from docs/questions.json.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../node.js";
import { slugOf } from "./markdown.js";

/** Returns the page: each question is a link to the heading that answers it. */
export const questionsPage = () => {
  const questions = JSON.parse(readFileSync(join(root, "docs/questions.json"), "utf8"));
  const lines = questions.map(
    ({ question, page, heading }) => `- [${question}](./${page}.md#${slugOf(heading)})`,
  );
  return `# Common questions\n\nEach question leads to the place that answers it.\n\n${lines.join("\n")}\n`;
};
