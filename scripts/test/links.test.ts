import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, expect, test } from "vitest";
import { anchorsOf, withLinks } from "../docs/markdown.js";
import { COPIED } from "../docs/pages.js";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The links of a page that lead to a file that isn't there, or to a heading that isn't on it. */
const brokenLinks = (from: string): string[] => {
  const broken: string[] = [];
  withLinks(read(from), (target) => {
    if (/^[a-z]+:/.test(target)) return target;
    const [file = "", anchor] = target.split("#");
    const path = file === "" ? from : posix.join(posix.dirname(from), file);
    if (!existsSync(join(root, path))) broken.push(target);
    else if (
      anchor !== undefined &&
      path.endsWith(".md") &&
      !anchorsOf(read(path)).includes(anchor)
    ) {
      broken.push(target);
    }
    return target;
  });
  return broken;
};

describe("a link", () => {
  test.each(COPIED.map(({ from }) => from))("on %s leads to a file and a heading", (from) => {
    expect(brokenLinks(from)).toEqual([]);
  });
});
