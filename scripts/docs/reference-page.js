// Writes what reference.js has read as a page of Markdown.
import { outsideCode } from "./markdown.js";

const TAGS = { throws: "Throws", param: "Parameter", returns: "Returns", default: "Default" };

/** A doc comment as Markdown: its links become code, its tags a list. */
const prose = (doc) => {
  const [text, ...tags] = doc.replaceAll(/\{@link ([^}|]+)[^}]*\}/g, "`$1`").split(/^@(?=[a-z])/m);
  const listed = tags.flatMap((tag) => {
    const [, kind, rest] = tag.match(/^(\w+)\s*(.*)$/s);
    const title = TAGS[kind];
    if (title === undefined) return kind === "example" ? [`\n${rest.trim()}\n`] : [];
    const named = rest
      .trim()
      .replace(/^\{(\w+)\}/, "`$1`")
      .replace(kind === "param" ? /^(\w+) - / : /^$/, "`$1`: ");
    return [`- ${title}: ${named.replaceAll(/\n\s*/g, " ")}`];
  });
  return [text.trim(), listed.join("\n")].filter((part) => part !== "").join("\n\n");
};

const escaped = (markdown) =>
  outsideCode(markdown, (part) =>
    part.replaceAll(/<(?=[a-z/!])/gi, "&lt;").replaceAll("{{", "&#123;&#123;"),
  );

const indented = (text) => text.replaceAll(/\n(?=.)/g, "\n  ");

const member = ({ signature, doc }) => {
  const code = signature.includes("`") ? `\`\` ${signature} \`\`` : `\`${signature}\``;
  return `- ${code}${doc === "" ? "" : `\n\n  ${indented(prose(doc))}\n`}`;
};

/** The values of a type that are described one by one needn't stand in its declaration too. */
const declared = ({ signature, members }) =>
  members[0]?.name === "" ? signature.replace(/\s*=.*$/s, " = …") : signature;

const nameBlock = ({ name, signature, doc, members }) =>
  [
    `### ${name}`,
    `\`\`\`ts\n${declared({ signature, members })}\n\`\`\``,
    prose(doc),
    members.map(member).join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");

/** Returns the page of a package's public names. */
export const referencePage = ({ name, description, context, entries }) => {
  const parts = [
    `# API of @lanai/${name}`,
    `${description} [The package's README](../packages/${name}.md) explains when to use what. This page is made from the sources' doc comments. Times are in milliseconds unless a name says otherwise.`,
  ];
  if (context.length > 0) parts.push("## On Koa's context", context.map(member).join("\n"));
  for (const { entry, names } of entries) {
    parts.push(`## ${entry}`, ...names.map(nameBlock));
  }
  return `${escaped(parts.join("\n\n"))}\n`;
};
