// llms.txt and llms-full.txt (llmstxt.org): the site as plain text, from the same pages.

const SUMMARY = `# Lanai

> Sessions, flash messages, pub/sub, WebSockets and server-sent events for Koa. Independent middleware packages in TypeScript, ESM only, for Node 22.13 or later and Koa 2.16 or 3.
`;

/** The first sentence of a page's first paragraph. */
const firstSentence = (markdown) => {
  const paragraph =
    markdown.split(/\n\n+/).find((part) => /^[A-Z*`[]/.test(part) && !part.startsWith("[![")) ?? "";
  const plain = paragraph.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/\s+/g, " ");
  return plain.match(/^.*?[.:](?= |$)/)?.[0].replace(/:$/, ".") ?? plain;
};

/** Returns the list of the pages, by section, each with its first sentence. */
export const llmsText = (sections, textOf) =>
  [
    SUMMARY,
    ...sections.map(({ title, pages }) => {
      const lines = pages.map(
        (page) =>
          `- [${page.title}](/${page.to.replace(/\.md$/, ".html")}): ${firstSentence(textOf(page.to))}`,
      );
      return `## ${title}\n\n${lines.join("\n")}\n`;
    }),
  ].join("\n");

/** Returns the text of all pages of the navigation, one after the other. */
export const llmsFullText = (sections, textOf) =>
  [SUMMARY, ...sections.flatMap(({ pages }) => pages.map(({ to }) => textOf(to)))].join("\n\n");
