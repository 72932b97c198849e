import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { charts } from "../docs/charts.js";

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

const pages = globSync(
  ["docs/**/*.md", "CONTRIBUTING.md", "SECURITY.md", "packages/channels/WIRE.md"],
  { cwd: root },
).sort();

/** What `npm run walk-through` puts together and runs. */
const isFollowed = (page: string, path: string) =>
  page === join("docs", "getting-started.md") && ["app", "end"].includes(path);

const excerpts = pages.flatMap((page) =>
  quotes(readFileSync(join(root, page), "utf8"))
    .filter(({ path }) => !isFollowed(page, path))
    .map((quote) => ({ page, ...quote })),
);

/** The text without what its lines begin with in common. */
const dedented = (text: string) => text.replaceAll(/^[ \t]+/gm, "");

test("the root README says how to install, shows a program and helps to choose, in this order", () => {
  const markdown = readFileSync(join(root, "README.md"), "utf8");
  expect([...markdown.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)).toEqual([
    "Install",
    "A program",
    "Which of these packages do I need?",
    "Packages",
    "How it compares",
    "Documentation",
    "This repository",
  ]);
});

test("the root README chooses in five lines, and its program has at most 15", () => {
  const markdown = readFileSync(join(root, "README.md"), "utf8");
  const [, choice = ""] = /^## Which of these packages.*?\n(.*?)^## /ms.exec(markdown) ?? [];
  expect(choice.match(/^- /gm)).toHaveLength(5);
  const [program] = quotes(markdown);
  expect(program?.path).toBe("examples/hello/src/main.ts");
  expect(program?.code.trimEnd().split("\n").length).toBeLessThanOrEqual(15);
});

test("the charts of the root README are drawn from its tables: node scripts/docs/charts.js", () => {
  const markdown = readFileSync(join(root, "README.md"), "utf8");
  const drawn = Object.entries(charts());
  expect(drawn).toHaveLength(3);
  for (const [file, svg] of drawn) {
    expect(readFileSync(join(root, file), "utf8"), file).toBe(svg);
    expect(markdown).toContain(`](${file})`);
    expect(svg).not.toContain("NaN");
  }
});

describe("code in docs", () => {
  test.each(excerpts)("$page has an excerpt of $path", ({ path, code }) => {
    expect(existsSync(join(root, path)), `${path} exists`).toBe(true);
    expect(dedented(readFileSync(join(root, path), "utf8"))).toContain(dedented(code));
  });

  test.each(pages)("%s has no other code than excerpts, shell lines and transcripts", (page) => {
    const markdown = readFileSync(join(root, page), "utf8");
    const blocks = [...markdown.matchAll(/^ *```(\w*)\n(?:.*?\n)??^ *```$/gms)].map(
      ([, kind = ""]) => kind,
    );
    const others = blocks.filter((kind) => !["sh", "console", "text"].includes(kind));
    expect(quotes(markdown)).toHaveLength(others.length);
  });
});

/** Files of a package or an example that its tests reach, by an import or by starting them. */
function reachedByTests(folder: string): ReadonlySet<string> {
  const files = globSync(`${folder}/**/*.{ts,js,html,json}`, {
    cwd: root,
    exclude: (name) => /(^|[\\/])(node_modules|dist)$/.test(name),
  });
  const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
  const reached = new Set(files.filter((file) => /\.test\.ts$|package\.json$/.test(file)));
  const waiting = [...reached];
  for (const at of waiting) {
    for (const file of files) {
      if (reached.has(file) || !texts.get(at)?.includes(basename(file))) continue;
      reached.add(file);
      waiting.push(file);
    }
  }
  return reached;
}

describe("a quoted file is one that a test runs", () => {
  /** Files that no test runs, each with what does. */
  const OTHERS: Readonly<Record<string, string>> = {
    "packages/clients/test/typed-events.ts": "npm run types: it is about types alone",
    "packages/session-postgres/schema.sql": "postgres-store.server.test.ts compares store.schema",
    "bench/probe/set-ups/koa-generic-session.js": "npm run probe",
  };
  const paths = [...new Set([...quoted, ...excerpts].map(({ path }) => path))].sort();
  const folders = new Map<string, ReadonlySet<string>>();

  test.each(paths.filter((path) => !(path in OTHERS)))("%s", (path) => {
    const folder = path.split("/").slice(0, 2).join("/");
    const reached = folders.get(folder) ?? reachedByTests(folder);
    folders.set(folder, reached);
    expect([...reached]).toContain(join(...path.split("/")));
  });

  test("those that no test runs are still quoted", () => {
    expect(paths).toEqual(expect.arrayContaining(Object.keys(OTHERS)));
  });
});

describe("a claim about another package", () => {
  const PEER =
    /\b(?:koa-session(?:-minimal)?|koa-generic-session|express-session|connect-[a-z-]+|koa-redis|koa-passport|iron-session|socket\.io|EventEmitter|eventemitter2|qlobber|http-proxy)\b|@fastify\/\w+/;
  const COMMAND = /`(npm (?:run|test|exec)[^`]*)`/g;
  /** Sections that only name a package and claim nothing of it. */
  const MENTIONS: readonly string[] = [
    "README.md ## Packages",
    "docs/extending.md ## A store",
    "docs/stores.md # Which store",
    "docs/troubleshooting.md ## The session in a WebSocket",
    "docs/troubleshooting.md ## ctx.session is undefined",
    "examples/README.md # Examples",
    "docs/contributing/formats.md ## Stored",
  ];
  const withoutCode = (path: string) =>
    readFileSync(join(root, path), "utf8").replaceAll(/^```.*?^```$/gms, "");
  const texts = [...readmes, ...pages].filter((path) => !/laws|features|evidence/.test(path));

  /** Sections that name a peer although neither they nor the page's beginning has a command. */
  const claims = texts.flatMap((path) => {
    const [intro = "", ...sections] = withoutCode(path).split(/^(?=## )/m);
    return [intro, ...sections]
      .filter((text) => PEER.test(text) && !(intro + text).match(COMMAND))
      .map((text) => `${path} ${text.trimStart().split("\n")[0]}`);
  });

  test("stands beside the command that shows it", () => {
    expect(claims.toSorted()).toEqual(MENTIONS.toSorted());
  });

  test("every command on a page exists", () => {
    const scriptsOf = (path: string): Readonly<Record<string, string>> =>
      existsSync(join(root, path))
        ? JSON.parse(readFileSync(join(root, path), "utf8")).scripts
        : {};
    const ours = scriptsOf("package.json");
    const wrong = texts.flatMap((path) =>
      [...withoutCode(path).matchAll(COMMAND)].flatMap(([, command = ""]) => {
        const [, script = "test"] = command.match(/^npm run ([\w:-]+)/) ?? [];
        const [, file] = command.match(/ ((?:packages|examples|scripts|bench)\/\S+)/) ?? [];
        const isThere =
          script in ours ||
          script in scriptsOf(join(dirname(path), "package.json")) ||
          command.includes(" -w ") ||
          command.startsWith("npm exec");
        return isThere && (file === undefined || existsSync(join(root, file)))
          ? []
          : [`${path}: ${command}`];
      }),
    );
    expect(wrong).toEqual([]);
  });
});

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
