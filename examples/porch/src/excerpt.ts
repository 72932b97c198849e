import { readFileSync } from "node:fs";

/**
 * Returns the lines of a source file between `// show` and `// end`, without their indentation.
 *
 * @throws Error if the file lacks one of the two marks.
 */
export function excerpt(file: URL): string {
  const [, shown] = /\/\/ show\n([\s\S]*?)\n *\/\/ end/.exec(readFileSync(file, "utf8")) ?? [];
  if (!shown) throw new Error(`${file} has nothing between // show and // end`);
  const lines = shown.split("\n");
  const indents = lines.filter((line) => line.trim()).map((line) => line.search(/\S/));
  return lines.map((line) => line.slice(Math.min(...indents))).join("\n");
}
