// Reads and rewrites Markdown: headings, links, and the parts that are code.

const CODE = /(^```.*?^```$|`[^`\n]+`)/ms;
const SOURCE = /(\b(?:src|srcset)=")([^"\s]+)(")/g;
const LINK = /(\[(?:[^[\]]|\[[^\]]*\]|!\[[^\]]*\]\([^)]*\))*\]\()([^)\s]+)(\))/g;

/** Returns the anchor of a heading, as GitHub makes it. */
export const slugOf = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(/\s/g, "-");

/** Returns the text of a heading without its marks. */
const plain = (heading) =>
  heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, "");

/** Returns the text between the blocks and spans of code, changed by `change`. */
export const outsideCode = (markdown, change) =>
  markdown
    .split(CODE)
    .map((part, n) => (n % 2 === 0 ? change(part) : part))
    .join("");

/** Returns the headings of a page, in order. */
export const headingsOf = (markdown) =>
  [...markdown.replaceAll(/^```.*?^```$/gms, "").matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
    plain(heading),
  );

/** Returns the anchors of a page: a repeated heading has its number behind it. */
export const anchorsOf = (markdown) => {
  const seen = new Map();
  return headingsOf(markdown).map((heading) => {
    const slug = slugOf(heading);
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
};

/** Returns the page with the target of each link and picture changed by `change`. */
export const withLinks = (markdown, change) => {
  // A link's text may hold code, so code is set aside by its place, not cut out.
  const blocks = markdown.split(/(^```.*?^```$)/ms);
  return blocks
    .map((part, n) =>
      n % 2 === 0
        ? part
            .replaceAll(LINK, (_, before, target, after) => {
              const inner = before.replaceAll(
                /(!\[[^\]]*\]\()([^)\s]+)(\))/g,
                (_picture, start, source, end) => start + change(source) + end,
              );
              return inner + change(target) + after;
            })
            .replaceAll(SOURCE, (_, start, source, end) => start + change(source) + end)
        : part,
    )
    .join("");
};
