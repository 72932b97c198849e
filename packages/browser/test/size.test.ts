import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";

/** What a page loads of an entry: minified, with all that it imports. */
async function bundled(entry: string): Promise<string> {
  await using bundle = await rolldown({
    input: fileURLToPath(new URL(`../src/${entry}.ts`, import.meta.url)),
    onLog(level, log) {
      throw new Error(`${level}: ${log.message}`);
    },
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  expect(output).toHaveLength(1);
  return output[0].code;
}

test.each([
  ["index", 5_000],
  ["fallback", 2_000],
  ["share", 2_000],
])("%s has no dependencies and at most %i bytes, minified and gzipped", async (entry, most) => {
  const code = await bundled(entry);
  expect(code).not.toMatch(/\bimport\b|\brequire\b/);
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(most);
});
