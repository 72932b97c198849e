import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

/** The code blocks that name a file of the repository: `<!-- path/from/root.ts -->` stands before. */
const quotes = (markdown: string) =>
  [...markdown.matchAll(/^<!-- (\S+) -->\n+```\w*\n(.*?)^```$/gms)].map(
    ([, path = "", code = ""]) => ({ path, code }),
  );

const readmes = globSync("**/README.md", {
  cwd: root,
  exclude: (name) => /(^|[\\/])node_modules$/.test(name),
}).sort();

const quoted = readmes.flatMap((readme) =>
  quotes(readFileSync(join(root, readme), "utf8")).map((quote) => ({ readme, ...quote })),
);

describe("code in a README", () => {
  test.each(quoted)("$readme quotes $path as it is", ({ path, code }) => {
    expect(existsSync(join(root, path)), `${path} exists`).toBe(true);
    expect(code).toBe(readFileSync(join(root, path), "utf8"));
  });

  test.each(readmes)("%s has no other code than quotes, shell lines and transcripts", (readme) => {
    const markdown = readFileSync(join(root, readme), "utf8");
    const blocks = [...markdown.matchAll(/^```(\w*)\n(?:.*?\n)??```$/gms)].map(([, kind]) => kind);
    const others = blocks.filter((kind) => kind !== "sh" && kind !== "console");
    expect(quotes(markdown)).toHaveLength(others.length);
  });

  test("is found where it stands, and only with its file's name before", () => {
    expect(readmes).toContain(join("examples", "hello", "README.md"));
    expect(readmes.filter((it) => it.includes("node_modules"))).toEqual([]);
    const markdown =
      "<!-- a.ts -->\n```ts\nlet a;\n```\n\n```ts\nlet b;\n```\n\n<!-- c.js -->\n\n```\nc\n```\n";
    expect(quotes(markdown)).toEqual([
      { path: "a.ts", code: "let a;\n" },
      { path: "c.js", code: "c\n" },
    ]);
  });
});
