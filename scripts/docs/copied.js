// Makes the pages of the site from files of the repository.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { root } from "../node.js";
import { asCommonJs } from "./common-js.js";
import { outsideCode, withLinks } from "./markdown.js";
import { COPIED } from "./pages.js";

const REPOSITORY = "https://github.com/lanai/lanai/blob/main/";
const pageOf = new Map(COPIED.map(({ from, to }) => [from, to]));

/** The page that a path of the repository leads to: the file, or the README of the folder. */
const pageAt = (path) => pageOf.get(path) ?? pageOf.get(posix.join(path, "README.md"));

/**
 * Returns where a link of a page leads on the site: to another page, to a picture beside it, or to
 * the repository. What the repository doesn't hold is added to `broken`.
 */
const targetOn =
  ({ from, to }, pictures, broken) =>
  (target) => {
    if (/^([a-z]+:|#)/.test(target)) return target;
    const [file, anchor] = target.split("#");
    const path = posix.join(posix.dirname(from), file).replace(/\/$/, "");
    if (!existsSync(join(root, path))) broken.push(`${from} links to ${target}, which isn't there`);
    const hash = anchor === undefined ? "" : `#${anchor}`;
    const here = (other) => {
      const short = relative(dirname(to), other);
      return short.startsWith(".") ? short : `./${short}`;
    };
    if (/\.(png|svg)$/.test(path)) {
      pictures.add(path);
      return here(path);
    }
    const page = pageAt(path);
    return page === undefined ? REPOSITORY + path + hash : here(page) + hash;
  };

/** Shows a step's code in tabs, if CommonJS differs from what TypeScript and JavaScript modules share. */
const withTabs = (markdown) =>
  markdown.replaceAll(/^<!-- (?:app|end) -->\n```ts\n(.*?)^```$/gms, (block, code) => {
    const required = asCommonJs(code);
    if (required === code) return block;
    const tab = (kind, title, text) => `\`\`\`${kind} [${title}]\n${text}\`\`\``;
    const tabs = [tab("ts", "app.ts and app.js", code), tab("js", "app.cjs", required)];
    return `::: code-group\n\n${tabs.join("\n\n")}\n\n:::`;
  });

// Vue would take these for its own.
const asText = (part) => part.replaceAll("{{", "&#123;&#123;");

/**
 * Returns the pages that are copied from the repository, and the pictures that they show.
 *
 * @throws {Error} if a page links to a file that the repository doesn't hold.
 */
export const copiedPages = () => {
  const pictures = new Set();
  const broken = [];
  const pages = COPIED.map((page) => {
    const markdown = withTabs(readFileSync(join(root, page.from), "utf8"));
    const text = outsideCode(withLinks(markdown, targetOn(page, pictures, broken)), asText);
    return { to: page.to, text };
  });
  if (broken.length > 0) throw new Error(broken.join("\n"));
  return { pages, pictures };
};
