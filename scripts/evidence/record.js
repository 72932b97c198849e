import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../node.js";

/** Where each tool leaves the newest of its results, for `npm run evidence` to take. */
const folder = join(root, "node_modules/.cache/evidence");

/**
 * Keeps a tool's result for docs/evidence.md: `about` says on what and when it was measured, `text` is
 * what it found, both Markdown; `charts` are SVG texts, `{ name: { light, dark } }`. What was measured
 * on a machine that was too noisy is kept, but never published.
 */
export const record = (topic, { about, text, isTooNoisy = false, charts = {} }) => {
  mkdirSync(folder, { recursive: true });
  const result = { about, text, isTooNoisy, charts };
  writeFileSync(join(folder, `${topic}.json`), `${JSON.stringify(result, null, 1)}\n`);
};

/** The results that were recorded, by topic. */
export const recorded = () => {
  mkdirSync(folder, { recursive: true });
  return Object.fromEntries(
    readdirSync(folder).map((file) => [
      file.replace(/\.json$/, ""),
      JSON.parse(readFileSync(join(folder, file), "utf8")),
    ]),
  );
};
