const main = "scripts/runtimes/main.ts";
const node = ["node", "--disable-warning=ExperimentalWarning"];

/**
 * The runtimes that the README names. Each comes by a package of npm's registry; `command` runs
 * TypeScript on it.
 */
export const RUNTIMES = [
  {
    name: "Node 22.13",
    package: "node@22.13.0",
    command: [...node, "--experimental-strip-types", main],
  },
  { name: "Node 24", package: "node@24.21.0", command: [...node, main] },
  { name: "Node 26", package: "node@26.10.0", command: [...node, main] },
  { name: "Bun 1.4", package: "bun@1.4.5", command: ["bun", main] },
  {
    name: "Deno 2.9",
    package: "deno@2.9.6",
    command: ["deno", "run", "-A", "--no-check", "--node-modules-dir=manual", main],
  },
];

/** Where a runtime's report is, from the workspace's root. */
export const reportOf = ({ name }) =>
  `node_modules/.cache/reports/runtimes/${name.toLowerCase().replaceAll(" ", "-")}.json`;
