import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { all } from "../src/demos.ts";
import { html } from "../src/html.ts";
import { startApp } from "./app.ts";

const withoutIndent = (text: string): string => text.replaceAll(/^ +/gm, "");

test.for(all)("beside the demonstration $id are lines of the file that runs", async (demo) => {
  const { browser, stop } = await startApp();
  try {
    expect(await browser.page(`/demos/${demo.id}`)).toContain(html`<code>${demo.code}</code>`.text);
  } finally {
    stop();
  }
  // The demonstration in two files names them in comments of its own.
  const parts = demo.code.split(/\n*^\/\/ The (?:server|page, .*)\n/m).filter(Boolean);
  expect(parts.length).toBe(demo.id === "miss-nothing" ? 2 : 1);
  const files = [`demos/${demo.id}.ts`, "page/log.ts"];
  for (const [i, part] of parts.entries()) {
    expect(part.trim()).not.toBe("");
    const file = readFileSync(new URL(`../src/${files[i]}`, import.meta.url), "utf8");
    expect(withoutIndent(file)).toContain(withoutIndent(part));
  }
});
