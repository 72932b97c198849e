import { CHECKS } from "./checks.js";

const MARK = { yes: "yes", no: "**no**", "not counted": "–" };

const row = (cells) => `| ${cells.join(" | ")} |`;

/** The README's table of the set-ups that were graded: `{ title, grades }` each. */
export const comparison = (graded) =>
  [
    row(["", ...graded.map(({ title }) => title)]),
    row(["---", ...graded.map(() => "---")]),
    ...Object.entries(CHECKS).map(([name, [fact]]) =>
      row([fact, ...graded.map(({ grades }) => MARK[grades[name].grade] ?? grades[name].grade)]),
    ),
  ].join("\n");

/** What a terminal shows of one set-up. */
export const report = (grades) => {
  const lines = Object.entries(CHECKS).flatMap(([name, [fact]]) => {
    const { grade, detail } = grades[name];
    const line = `${grade.padEnd(12)}${fact}`;
    return detail ? [line, `${" ".repeat(12)}  ${detail}`] : [line];
  });
  const asked = Object.values(grades).filter(({ grade }) => grade === "yes" || grade === "no");
  const kept = asked.filter(({ grade }) => grade === "yes").length;
  return [...lines, "", `${kept} of ${asked.length} hold`].join("\n");
};
