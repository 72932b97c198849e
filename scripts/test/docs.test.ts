import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

interface Row {
  readonly ids: readonly string[];
  readonly tests: readonly { readonly path: string; readonly name: string }[];
}

/** `V44-V50` is seven rows; a text that is no id is none. */
const expand = (range: string): string[] => {
  const [, letters = "", from = "1", to = letters ? from : "0"] =
    /^([A-Z]+)(\d+)(?:-\1(\d+))?$/.exec(range) ?? [];
  return Array.from(
    { length: Number(to) - Number(from) + 1 },
    (_, n) => letters + String(Number(from) + n).padStart(from.length, "0"),
  );
};

/** The rows of a page's tables: ids, what serves them, and tests as `path` "name", one a line. */
const rowsOf = (markdown: string): Row[] =>
  [...markdown.matchAll(/^\| (.+?) \| .+ \| (.*`.+" )\|$/gm)].map(([, first = "", last = ""]) => ({
    ids: first.split(", ").flatMap(expand),
    tests: [...last.matchAll(/`([^`]+)` "(.*?)"(?=<br>| $)/g)].map(([, path = "", name = ""]) => ({
      path,
      name,
    })),
  }));

/** The names of the tests and groups in a source, as they are written there. */
const namesIn = (source: string): Set<string> => {
  const code = source.replaceAll(/^\s*\/\/.*$/gm, "");
  const called =
    /(?:\b(?:test|describe|fact|interleaved)|[)`])\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1\s*,/g;
  const listed = /\bname: (["'`])((?:\\.|(?!\1)[^\\])*)\1,/g;
  return new Set(
    [...code.matchAll(called), ...code.matchAll(listed)].map(([, , name = ""]) =>
      name.replaceAll(/\\(.)/g, "$1"),
    ),
  );
};

const pages = [
  {
    page: "docs/laws.md",
    wanted: ["S1-S21", "U1-U6", "F1-F4", "P1-P11", "C1-C9", "D1-D3", "B1-B4"],
  },
  {
    page: "docs/features.md",
    wanted: [
      ...["V01-V75", "VS1-VS14"],
      ...["P01-P22", "PS1-PS11"],
      ...["T01-T40", "TS1-TS10"],
      ...["A01-A74", "AS1-AS12", "N01-N13"],
    ],
  },
  { page: "docs/contributing/formats.md", wanted: [] },
];

describe.each(pages)("$page", ({ page, wanted }) => {
  const rows = rowsOf(read(page));

  test("has a row for each that is asked for, and none twice", () => {
    const ids = rows.flatMap((row) => row.ids);
    expect(ids).toEqual(expect.arrayContaining(wanted.flatMap(expand)));
    expect(ids).toHaveLength(new Set(ids).size);
  });

  test("names a test in every row, and one that exists", () => {
    const lines = read(page)
      .split("\n")
      .filter((line) => /^\| (?!---)/.test(line));
    const heads = read(page).match(/^\|---/gm) ?? [];
    expect(rows).toHaveLength(lines.length - heads.length);
    const missing = rows.flatMap(({ tests }) =>
      tests.filter(({ path, name }) => {
        const known = existsSync(join(root, path)) ? namesIn(read(path)) : new Set();
        return !name.split(" > ").every((part) => known.has(part));
      }),
    );
    expect(missing).toEqual([]);
    for (const { tests } of rows) expect(tests).not.toHaveLength(0);
  });
});

test("docs/contributing/formats.md has every entry that a package keeps in sessions", () => {
  const page = read("docs/contributing/formats.md");
  const sources = globSync("packages/*/src/**/*.ts", { cwd: root, exclude: ["**/testing/**"] })
    .map(read)
    .join("\n");
  const found = sources.matchAll(/"((?:s|device|flash|jwt|clients|bound):[a-z-]+)"/g);
  const entries = new Set(Array.from(found, ([, name = ""]) => name));
  expect(entries.size).toBeGreaterThan(6);
  for (const name of entries) expect(page).toContain(`\`${name}\``);
});

describe("docs/security.md", () => {
  const page = read("docs/security.md");
  const rows = [...page.matchAll(/^\| (\d+\.\d+\.\d+.*?) \| (.+?) \| (.*?) \| ?(.*)\|$/gm)].map(
    ([, requirement = "", library = "", , tests = ""]) => ({
      requirement,
      library,
      tests: [...tests.matchAll(/`([^`]+)` "(.*?)"(?=<br>| $)/g)].map(
        ([, path = "", name = ""]) => ({ path, name }),
      ),
    }),
  );

  test("has each requirement of ASVS 5.0 in V7, V3.3, V3.4, V4.4 and V9, once", () => {
    const sections = { "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2 };
    const others = { "3.3": 5, "3.4": 8, "4.4": 4, "9.1": 3, "9.2": 4 };
    const wanted = Object.entries({ ...sections, ...others }).flatMap(([section, count]) =>
      Array.from({ length: count }, (_, n) => `${section}.${n + 1}`),
    );
    const found = rows.flatMap(({ requirement }) => requirement.match(/\d+\.\d+\.\d+/g) ?? []);
    expect(found.toSorted()).toEqual(wanted.toSorted());
  });

  test("names a test wherever the library does something, and one that exists", () => {
    const untested = rows.filter(({ library, tests }) => library !== "nothing" && !tests.length);
    expect(untested).toEqual([]);
    const missing = rows.flatMap(({ tests }) =>
      tests.filter(({ path, name }) => {
        const known = existsSync(join(root, path)) ? namesIn(read(path)) : new Set();
        return !name.split(" > ").every((part) => known.has(part));
      }),
    );
    expect(missing).toEqual([]);
  });

  test("holds a threat model of each attacker", () => {
    const attackers = [...page.matchAll(/^### (.+)$/gm)].map(([, name]) => name);
    expect(attackers).toEqual([
      "A sibling host",
      "A script in your page (XSS)",
      "A reader of the store",
      "A writer of the store",
      "A writer on the bus",
      "A thief of a cookie",
    ]);
  });
});

test.each(["skip", "todo"])("a test with .%s, or commented out, is no test", (modifier) => {
  const source = `
    test("one", run);
    test.each([1])(
      'it\\'s %s',
      run,
    );
    test.${modifier}("two", run);
    // test("three", run);
    expect("four", why);
  `;
  expect([...namesIn(source)]).toEqual(["one", "it's %s"]);
});
