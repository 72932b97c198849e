import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const read = (...path: readonly string[]): string => readFileSync(join(root, ...path), "utf8");

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
  readonly [field: string]: unknown;
}

const packages = readdirSync(join(root, "packages")).filter((folder) =>
  existsSync(join(root, "packages", folder, "package.json")),
);
const manifestOf = (folder: string): Manifest =>
  JSON.parse(read("packages", folder, "package.json")) as Manifest;
const readmeOf = (folder: string): string => read("packages", folder, "README.md");

/** Comes with the others: nobody installs it by hand. */
const INTERNAL = "connection";

/** The headings that every README has, in this order, with others between them. */
const STANDARD = ["Set-up", "Example", "Options"];
const STORE = [...STANDARD, "Expiry", "Keys", "When the server is down"];
/** Packages without the standard headings, and why. */
const OTHER_HEADINGS: Readonly<Record<string, readonly string[]>> = {
  // Internal: there is nothing to set up.
  connection: ["Functions", "Internal entries"],
  // Its README begins with the first program, before any heading.
  session: ["Options", "Stores", "Trackers"],
  // Its options belong to single calls, and stand with them.
  pubsub: ["Set-up", "Example", "The bus and ctx.pubsub"],
  // A tracker, and a store that is the token itself: it keeps nothing that expires or goes down.
  "session-jwt": [...STANDARD, "Keys"],
};

/** Stores: each package that depends on the session's contract and runs its suite. */
const isStore = (folder: string): boolean =>
  folder.startsWith("session-") &&
  globSync("test/**/*.ts", { cwd: join(root, "packages", folder) }).some((file) =>
    read("packages", folder, file).includes("storeConformance("),
  );

const headingsOf = (folder: string): string[] =>
  [...readmeOf(folder).matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading);

function expectedHeadings(folder: string): readonly string[] {
  return OTHER_HEADINGS[folder] ?? (isStore(folder) ? STORE : STANDARD);
}

const ours = (names: readonly string[]): string[] =>
  names.filter((name) => name.startsWith("@lanai/"));

const dependenciesOf = ({ dependencies }: Manifest): string[] => Object.keys(dependencies ?? {});

const neededPeers = ({ peerDependencies, peerDependenciesMeta }: Manifest): string[] =>
  Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta?.[name]?.optional);

describe.each(packages)("packages/%s", (folder) => {
  const manifest = manifestOf(folder);

  test("has a package.json of the common form", () => {
    const { name, exports, ...fields } = manifest;
    expect(name).toBe(`@lanai/${folder}`);
    expect(fields).toMatchObject({
      license: "MIT",
      type: "module",
      engines: { node: ">=22.13" },
      files: expect.arrayContaining(["dist", "src", "!dist/.tsbuildinfo"]),
      sideEffects: false,
      repository: { directory: `packages/${folder}` },
      scripts: { "check:package": expect.stringContaining("publint --strict") },
    });
    expect(exports).toHaveProperty([".", "@lanai/source"], "./src/index.ts");
    expect(exports).toHaveProperty(["./package.json"], "./package.json");
  });

  test("depends on the internal package, and has the others of ours as peers", () => {
    expect(ours(dependenciesOf(manifest))).toEqual(
      folder === INTERNAL || folder === "browser" ? [] : [`@lanai/${INTERNAL}`],
    );
    expect(neededPeers(manifest)).not.toContain(`@lanai/${INTERNAL}`);
  });

  test("has a tsconfig.json that refers to what it depends on, and is in that of the root", () => {
    const config = read("packages", folder, "tsconfig.json");
    const references = [...config.matchAll(/"path": "\.\.\/([\w-]+)"/g)].map(([, to]) => to);
    const needed = ours([...dependenciesOf(manifest), ...neededPeers(manifest)]);
    expect(references.toSorted()).toEqual(needed.map((it) => it.slice("@lanai/".length)).sort());
    expect(config).toContain('"extends": "../../tsconfig.base.json"');
    expect(read("tsconfig.json")).toContain(`"path": "packages/${folder}"`);
  });

  test("is in package-lock.json as it is", () => {
    const { packages: locked } = JSON.parse(read("package-lock.json")) as {
      packages: Record<string, Partial<Manifest>>;
    };
    const { name, dependencies, peerDependencies } = manifest;
    expect(locked[`packages/${folder}`]).toMatchObject({
      name,
      ...(dependencies && { dependencies }),
      ...(peerDependencies && { peerDependencies }),
    });
    expect(locked[`node_modules/${name}`]).toMatchObject({ link: true });
  });

  test("has a README with its name and the standard headings", () => {
    expect(readmeOf(folder)).toMatch(new RegExp(`^# @lanai/${folder}\\n`));
    const expected = expectedHeadings(folder);
    expect(headingsOf(folder).filter((it) => expected.includes(it))).toEqual(expected);
  });

  test("has an install line that names exactly what a user must install", () => {
    const [, line] = /^npm install (.+)$/m.exec(readmeOf(folder)) ?? [];
    if (folder === INTERNAL) {
      expect(line).toBeUndefined();
      return;
    }
    // Koa is every app's own, also where a package reaches it only through another.
    const named = line?.split(" ").filter((name) => name !== "koa") ?? [];
    const needed = [manifest.name, ...neededPeers(manifest)].filter((name) => name !== "koa");
    expect(named.toSorted()).toEqual(needed.toSorted());
  });

  test("brings the licence in its tarball", () => {
    expect(read("packages", folder, "LICENSE")).toBe(read("LICENSE"));
  });

  test("is published for everybody, with the provenance of its tarball", () => {
    expect(manifest).toMatchObject({ publishConfig: { access: "public", provenance: true } });
  });

  test("has a row in the table of the root's README", () => {
    const row = `\n| [\`@lanai/${folder}\`](packages/${folder}/README.md) | `;
    expect(read("README.md")).toContain(row);
  });

  test("has tests, and what it brings is in a changeset or in its changelog", () => {
    expect(existsSync(join(root, "packages", folder, "test"))).toBe(true);
    const sets = globSync(".changeset/*.md", { cwd: root }).map((file) => read(file));
    const isNamed = sets.some((set) => set.includes(`"@lanai/${folder}":`));
    expect(isNamed || existsSync(join(root, "packages", folder, "CHANGELOG.md"))).toBe(true);
  });
});

test("each store is held to the contract, and is in the guide to stores", () => {
  const stores = packages.filter(
    (folder) =>
      folder.startsWith("session-") &&
      /(?:\w+Store|from\w+Store)\b[^}]*\} from/.test(read("packages", folder, "src/index.ts")),
  );
  expect(stores).toEqual(expect.arrayContaining(["session-sqlite", "session-compat"]));
  expect(stores.filter((folder) => !isStore(folder))).toEqual([]);
  const guide = read("docs/stores.md");
  // The guide is about stores that keep something.
  const kept = stores.filter((folder) => folder !== "session-jwt");
  expect(kept.filter((folder) => !guide.includes(`packages/${folder}/`))).toEqual([]);
});
