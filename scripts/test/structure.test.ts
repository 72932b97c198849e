import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const MAX_FILE_LINES = 450;
const MAX_CLASS_LINES = 400;
const MAX_CLASS_FIELDS = 15;
/** The fewest lines that may not stand twice. */
const REPEATED_LINES = 6;

/**
 * What breaks a rule today and is being mended. An entry that is no longer needed fails the tests, so
 * that these lists can only become shorter.
 */
const EXCEPTIONS: Record<"circles" | "files" | "classes", readonly string[]> = {
  circles: [],
  files: [],
  classes: [],
};

/** Lines that may stand twice, each with the reason: the files, joined by a comma and a space. */
const REPEATED: Readonly<Record<string, string>> = {};

/**
 * Timers of Node beside the deadline helper, by file, with their number. None decides that an answer has not
 * come: that is for `@lanai/connection/deadline`, which lets the event loop turn first.
 */
const TIMERS: Record<string, readonly [count: number, what: string]> = {
  "packages/channels/src/bus/processes.ts": [1, "announces itself"],
  "packages/channels/src/channels.ts": [1, "checks who may stay"],
  "packages/channels/src/room/presence.ts": [1, "reports changes together"],
  "packages/channels/src/room/seat.ts": [1, "tries again"],
  "packages/channels/src/room/unsent.ts": [1, "tries again"],
  "packages/clients/src/bus/end-notices.ts": [1, "tries again"],
  "packages/clients/src/bus/relay.ts": [1, "tries again"],
  "packages/clients/src/create-clients.ts": [1, "spreads closing over a time"],
  "packages/clients/src/sessions/session-checks.ts": [1, "checks sessions"],
  "packages/connection/src/deadline.ts": [2, "is the helper"],
  "packages/pubsub-nats/src/publishing/stored-publishes.ts": [2, "tries again"],
  "packages/pubsub-nats/src/streams/history.ts": [1, "asks the server when nothing comes"],
  "packages/pubsub-nats/src/streams/stream-reader.ts": [1, "tries again"],
  "packages/pubsub-nats/src/subscribing/subscriptions.ts": [1, "tries again"],
  "packages/pubsub-redis/src/publishing/publish-queue.ts": [1, "tries again"],
  "packages/pubsub-redis/src/subscribing/catch-up.ts": [1, "tries again"],
  "packages/pubsub-redis/src/subscribing/subscriber-connection.ts": [2, "tries again, and pings"],
  "packages/pubsub-redis/src/subscribing/subscriptions.ts": [1, "tries again"],
  "packages/session-postgres/src/postgres-store.ts": [2, "tries again, and sweeps"],
  "packages/session-sqlite/src/lock-queue.ts": [1, "tries again"],
  "packages/session-sqlite/src/sqlite-store.ts": [1, "sweeps"],
  "packages/session/src/request/retry.ts": [1, "tries again"],
  "packages/session/src/request/retry-later.ts": [1, "tries again"],
  "packages/session/src/stores/memory-store.ts": [1, "sweeps"],
  "packages/sse/src/sse-stream.ts": [1, "sends heartbeats"],
};

/** Browsers have no such helper, and the suites have timeouts of their own. */
const WITHOUT_HELPER = /^packages\/browser\/|\/src\/testing\//;

const timersIn = (text: string): number =>
  text.match(
    /(?<!function )\b(?:setTimeout|setInterval)\(|AbortSignal\.timeout\(|setTimeout as|setInterval as/g,
  )?.length ?? 0;

/** A file that stays longer says why in its first comment, in a sentence that begins so. */
const REASON = "Over 450 lines because ";

const sources = new Map(
  globSync("packages/*/src/**/*.ts").map((file) => [file, readFileSync(file, "utf8")]),
);

/** Returns the files that a file imports, types included. */
function importsOf(file: string, text: string): string[] {
  const imports = text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g);
  return Array.from(imports, ([, path = ""]) => join(dirname(file), path));
}

/** Returns the packages that a file loads when it runs: not those of `import type` and `export type`. */
function packagesOf(text: string): string[] {
  const loads = text.matchAll(
    /^(?:import|export)\b(?! type\b)(?:[^;"]*?\bfrom)?\s*"([^."][^"]*)"|\bimport\(\s*"([^."][^"]*)"/gm,
  );
  return Array.from(loads, ([, name = "", onRequest = name]) => onRequest);
}

/** Returns the source file of an entry of one of these packages, such as `@lanai/session/store`. */
function sourceOf(entry: string): string {
  const [, name = "", path] = /^@lanai\/([^/]+)(?:\/(.+))?$/.exec(entry) ?? [];
  const { exports } = JSON.parse(readFileSync(`packages/${name}/package.json`, "utf8"));
  return join(`packages/${name}`, exports[path ? `./${path}` : "."]["@lanai/source"]);
}

/** Returns the packages of others that an entry loads, directly or by other files, and the files. */
function loadedBy(entry: string): { readonly packages: Set<string>; readonly files: Set<string> } {
  const files = new Set([sourceOf(entry)]);
  const packages = new Set<string>();
  for (const file of files) {
    const text = sources.get(file);
    if (text === undefined) throw new Error(`there is no ${file}`);
    for (const path of importsOf(file, text.replace(TYPES_ONLY, ""))) files.add(path);
    for (const name of packagesOf(text)) {
      if (name.startsWith("@lanai/")) files.add(sourceOf(name));
      else packages.add(name);
    }
  }
  return { packages, files };
}

const TYPES_ONLY = /^(?:import|export) type\b[^;]*;/gm;

/** Returns each group of files that import each other, directly or by others (Tarjan 1972). */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const lowOf = (file: string) => lowest.get(file) ?? Number.POSITIVE_INFINITY;
  const visit = (file: string): void => {
    order.set(file, order.size);
    lowest.set(file, order.size);
    const number = lowOf(file);
    open.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (open.includes(next)) lowest.set(file, Math.min(lowOf(file), lowOf(next)));
    }
    if (lowOf(file) !== number) return;
    const group = open.splice(open.indexOf(file));
    const importsItself = graph.get(file)?.includes(file);
    if (group.length > 1 || importsItself) circles.push(group.sort());
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
}

const lineCount = (text: string): number => text.trimEnd().split("\n").length;

function hasReason(text: string): boolean {
  const [comment = ""] = /\/\*[\s\S]*?\*\/|(?:\/\/.*\n)+/.exec(text) ?? [];
  return comment.replace(/\s*\n\s*(?:\*|\/\/)\s*/g, " ").includes(REASON);
}

interface ClassSize {
  readonly name: string;
  readonly lines: number;
  readonly fields: number;
}

/** Measures the classes of a file in Biome's format, which puts members two spaces in. */
function classesIn(text: string): ClassSize[] {
  const classes = text.matchAll(/^(?:export )?(?:abstract )?class (\w+)(?:.*\{\}$|[\s\S]*?\n\})/gm);
  return Array.from(classes, ([body, name = ""]) => ({
    name,
    lines: lineCount(body),
    fields: body.match(FIELD)?.length ?? 0,
  }));
}

const FIELD =
  /^ {2}(?:(?:declare|override|readonly|accessor|protected|private) )*#?\w+[?!]?(?::| =|;)/gm;

const blank = (text: string): string => text.replace(/[^\n]/g, "");

/** Returns the lines of a file that say something: no imports, no lone punctuation, white space folded. */
function linesOf(text: string): string[] {
  return text
    .replace(/^(?:import|export)\b[^;"]*?from\s+"[^"]*";|^import "[^"]*";/gm, blank)
    .split("\n")
    .map((line) => line.replace(/\s+/g, " ").trim())
    .filter((line) => /\w/.test(line));
}

/** Returns the pairs of files, or the file, in which a run of lines stands twice, with its first line. */
function repeatsIn(files: ReadonlyMap<string, string>): Map<string, string> {
  const seen = new Map<string, string>();
  const repeats = new Map<string, string>();
  for (const [file, text] of files) {
    const lines = linesOf(text);
    for (let at = 0; at + REPEATED_LINES <= lines.length; at += 1) {
      const run = lines.slice(at, at + REPEATED_LINES).join("\n");
      const other = seen.get(run);
      const pair = [...new Set([other ?? file, file])].sort().join(", ");
      if (other !== undefined && !repeats.has(pair)) repeats.set(pair, lines[at] ?? "");
      seen.set(run, other ?? file);
    }
  }
  return repeats;
}

/** Returns the names of a module's functions that are arrow functions with a body of statements. */
function arrowsIn(text: string): string[] {
  // The head ends at column 0, and so does the body.
  const arrows = text.matchAll(
    /^(?:export )?const (\w+) = (?:.*\n(?: .*\n)*\).*|.*)=> \{\n(?:(?: .*)?\n)*\};$/gm,
  );
  return Array.from(arrows, ([, name = ""]) => name);
}

function found(what: readonly string[], excepted: readonly string[]) {
  return {
    new: what.filter((it) => !excepted.includes(it)),
    "no longer needed": excepted.filter((it) => !what.includes(it)),
  };
}

const NOTHING = { new: [], "no longer needed": [] };

describe("the sources of all packages", () => {
  test("no files import each other, types included", () => {
    const graph = new Map([...sources].map(([file, text]) => [file, importsOf(file, text)]));
    const circles = circlesIn(graph).map((files) => files.join(", "));
    expect(found(circles, EXCEPTIONS.circles)).toEqual(NOTHING);
  });

  test.each(["@lanai/session/store", "@lanai/session/tracker", "@lanai/pubsub/backend"])(
    "%s, for authors, loads no Koa",
    (entry) => {
      const { packages, files } = loadedBy(entry);
      expect(files.size).toBeGreaterThan(3);
      expect([...packages].filter((name) => !name.startsWith("node:"))).toEqual([]);
    },
  );

  test("the expression for a token of RFC 9110 stands once", () => {
    const places = [...sources].filter(([, text]) => /\[[^\]\n]*!#\$%&'\*\+[^\]\n]*\]/.test(text));
    expect(places.map(([file]) => file)).toEqual(["packages/connection/src/options.ts"]);
  });

  test(`a file of over ${MAX_FILE_LINES} lines says why in its first comment`, () => {
    const long = [...sources].filter(
      ([, text]) => lineCount(text) > MAX_FILE_LINES && !hasReason(text),
    );
    expect(
      found(
        long.map(([file]) => file),
        EXCEPTIONS.files,
      ),
    ).toEqual(NOTHING);
  });

  test(`a class has at most ${MAX_CLASS_LINES} lines and ${MAX_CLASS_FIELDS} fields`, () => {
    const large = [...sources].flatMap(([file, text]) =>
      classesIn(text)
        .filter(({ lines, fields }) => lines > MAX_CLASS_LINES || fields > MAX_CLASS_FIELDS)
        .map(({ name }) => `${file} ${name}`),
    );
    expect(found(large, EXCEPTIONS.classes)).toEqual(NOTHING);
  });

  test("a module's functions with a body of statements are no arrow functions", () => {
    const arrows = [...sources].flatMap(([file, text]) =>
      arrowsIn(text).map((name) => `${file} ${name}`),
    );
    expect(arrows).toEqual([]);
  });

  test(`no run of ${REPEATED_LINES} lines stands twice, comments included`, () => {
    const repeats = repeatsIn(sources);
    const excepted = Object.keys(REPEATED);
    expect(found([...repeats.keys()], excepted), JSON.stringify([...repeats])).toEqual(NOTHING);
  });
});

test("S10: no timer beside the deadline helper decides that an answer has not come", () => {
  const counts = [...sources]
    .filter(([file]) => !WITHOUT_HELPER.test(file))
    .map(([file, text]) => [file, timersIn(text)] as const)
    .filter(([, count]) => count > 0);
  expect(Object.fromEntries(counts)).toEqual(
    Object.fromEntries(Object.entries(TIMERS).map(([file, [count]]) => [file, count])),
  );
});

describe("the rules notice", () => {
  test("an arrow function with a body, and none that is an expression or an argument", () => {
    const text = `const a = (): void => {\n};\nexport const b = async <T>(\n  { it }: { it: T },\n): T => {\n};
const c = (d: string) => d;\nconst e = () => ({\n  f: () => {\n  },\n});\nconst g = make(1);\n\nconst h: Handler = () => {\n};
function i() {\n  const j = () => {\n  };\n}\n`;
    expect(arrowsIn(text)).toEqual(["a", "b"]);
  });

  test("a circle of two and of three, and a file beside them that is in none", () => {
    const graph = new Map([
      ["a", ["b"]],
      ["b", ["c", "d"]],
      ["c", ["a"]],
      ["d", ["e"]],
      ["e", ["d"]],
      ["f", ["a"]],
    ]);
    expect(circlesIn(graph).sort()).toEqual([
      ["a", "b", "c"],
      ["d", "e"],
    ]);
  });

  test("imports, type imports, exports and imports on request", () => {
    const text = `import "./a.ts";\nimport type { B } from "../b.ts";\nexport { c } from "./c.ts";
const d = import("./d.ts");\nimport {\n  e,\n} from "./e.ts";\nimport koa from "koa";`;
    const names = ["p/a.ts", "b.ts", "p/c.ts", "p/d.ts", "p/e.ts"];
    expect(importsOf("p/index.ts", text)).toEqual(names);
  });

  test("the packages that a file loads, and not those of its types", () => {
    const text = `import koa from "koa";\nimport type { A } from "a";\nexport type { B } from "b";
import {\n  c,\n} from "c";\nimport "./d.ts";\nexport * from "e";\nimport "f/g";\nconst h = import("h");`;
    expect(packagesOf(text)).toEqual(["koa", "c", "e", "f/g", "h"]);
  });

  test("the lines and the fields of a class, and no methods, locals or parameters", () => {
    const text = `/** x */\nexport class A<T> extends B {\n  readonly #a: string;\n  b = 1;\n  declare c?: T;
  static {\n    this.x = 1;\n  }\n\n  get d(): T {\n    const e = 1;\n    f = 2;\n  }\n\n  g(\n    h: string,
  ): void {}\n\n  #i = (): void => {\n    j = 1;\n  };\n}\n\nclass C {}\n\nclass D {\n  a;\n}\n`;
    expect(classesIn(text)).toEqual([
      { name: "A", lines: 21, fields: 4 },
      { name: "C", lines: 1, fields: 0 },
      { name: "D", lines: 3, fields: 1 },
    ]);
  });

  test("six lines that stand twice, in two files or in one, and no imports or punctuation", () => {
    const six = "const a = 1;\n  b();\n  }\n\n  c();\n// d\n/** e */\nf();\n";
    const five = "const a = 1;\nb();\nc();\n// d\n/** e */\nx();\n";
    const imports = `import {\n  a,\n  b,\n  c,\n  d,\n  e,\n} from "./a.ts";\n`;
    const files = [`x();\n${six}`, six.replaceAll("  ", ""), five, `${imports}1`, `${imports}2`];
    const named = new Map(files.map((text, at) => [`${at}`, text]));
    expect([...repeatsIn(named)]).toEqual([["0, 1", "const a = 1;"]]);
    expect([...repeatsIn(new Map([["a", `${six}y();\n${six}`]])).keys()]).toEqual(["a"]);
  });

  test("the reason of a long file, in its first comment only", () => {
    expect(
      hasReason(`import "x";\n/**\n * Parses. Over 450\n * lines because it must.\n */\n`),
    ).toBe(true);
    expect(hasReason(`// Over 450 lines because it must.\n`)).toBe(true);
    expect(hasReason(`/** Parses. */\n/** Over 450 lines because it must. */\n`)).toBe(false);
  });
});

describe("a test waits for as long as a busy machine takes:", () => {
  const tests = globSync(
    "{packages/*,examples/*,scripts}/{test,src/testing,testing}/**/*.ts",
  ).filter((file) => file !== "scripts/testing/until.ts");

  test.each([
    [
      "none has a timeout of its own",
      /^ *\}, [\d_]+_000\);$|\{ timeout: [\d_]+_000,? \}, (?:async|\(|fn|run)/m,
    ],
    ["none waits by Vitest's limit of a second, but with until()", /\bvi\.wait(?:For|Until)\(/],
  ])("%s", (_rule, forbidden) => {
    expect(tests.length).toBeGreaterThan(100);
    expect(tests.filter((file) => forbidden.test(readFileSync(file, "utf8")))).toEqual([]);
  });
});
