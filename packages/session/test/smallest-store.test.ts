import { readFileSync } from "node:fs";
import { join } from "node:path";
import { storeConformance } from "@lanai/session/testing";
import { expect, test } from "vitest";
import { smallestStore } from "./smallest-store.ts";

storeConformance({
  name: "the smallest store",
  test,
  open() {
    let now = Date.now();
    return {
      store: smallestStore(() => now),
      advance(ms) {
        now += ms;
      },
    };
  },
  limits: ["index"],
});

test("the smallest store stands in CONTRIBUTING as it is", () => {
  const read = (path: string) => readFileSync(join(import.meta.dirname, path), "utf8");
  expect(read("../../../CONTRIBUTING.md")).toContain(
    `<!-- packages/session/test/smallest-store.ts -->\n\`\`\`ts\n${read("smallest-store.ts")}\`\`\`\n`,
  );
});
