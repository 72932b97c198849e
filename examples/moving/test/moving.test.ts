import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sameSite } from "./same-site.ts";

const root = join(import.meta.dirname, "../../..");

sameSite("koa-session");

describe("docs/moving.md", () => {
  const markdown = readFileSync(join(root, "docs/moving.md"), "utf8");
  const quotes = [...markdown.matchAll(/^<!-- (\S+) -->\n+```\w*\n(.*?)^```$/gms)];

  test("quotes the programs before and after, as they are", () => {
    expect(quotes.map(([, path]) => path)).toEqual(
      ["koa-session", "koa-generic-session", "express-session"].flatMap((from) => [
        `examples/moving/src/${from}/before.js`,
        `examples/moving/src/${from}/after.ts`,
      ]),
    );
    for (const [, path = "", code] of quotes) {
      expect(code, path).toBe(readFileSync(join(root, path), "utf8"));
    }
  });

  test("has no other code", () => {
    const blocks = markdown.match(/^```\w+$/gm)?.filter((fence) => fence !== "```sh");
    expect(blocks).toHaveLength(quotes.length);
  });
});
