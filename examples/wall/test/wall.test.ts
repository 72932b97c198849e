import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { visit, write } from "./visitors.ts";

let program: AsyncDisposable;
let url: string;

beforeAll(async () => {
  const port = await freePort();
  program = await startProgram(join(import.meta.dirname, ".."), "src/main.ts", port, {});
  url = `http://127.0.0.1:${port}`;
});

afterAll(() => program[Symbol.asyncDispose]());

test("who arrives sees the notes there are, and then each new one", async () => {
  const first = await visit(`${url}/arrive`);
  expect((await write(`${url}/arrive`, "one")).headers.get("location")).toBe("/arrive");
  await write(`${url}/arrive`, "two");
  const second = await visit(`${url}/arrive`);
  await write(`${url}/arrive`, "three");
  for (const it of [first, second]) {
    expect(await it.texts(3)).toEqual(["one", "two", "three"]);
    it.leave();
  }
});

test("who comes back sees what was missed, and nothing twice", async () => {
  await write(`${url}/back`, "one");
  const first = await visit(`${url}/back`);
  await first.texts(1);
  first.leave();
  await write(`${url}/back`, "two");
  await write(`${url}/back`, "three");
  const again = await visit(`${url}/back`, first.events[0]?.id);
  expect(await again.texts(2)).toEqual(["two", "three"]);
  again.leave();
});

test("each path has a wall of its own, whatever it is called", async () => {
  const paths = ["/", "/a.b", "/%3E", "/*", "/a%20b"];
  const visitors = await Promise.all(paths.map((path) => visit(url + path)));
  for (const path of paths) expect((await write(url + path, path)).status).toBe(302);
  for (const [i, it] of visitors.entries()) {
    expect(await it.texts(1)).toEqual([paths[i]]);
    it.leave();
  }
});

test("a note that is empty, too long or not a form is refused", async () => {
  for (const text of ["", " ", "x".repeat(501)]) expect((await write(url, text)).status).toBe(422);
  expect((await write(url, "x".repeat(9_000))).status).toBe(413);
});

test("the page writes notes as text", async () => {
  const page = await fetch(url, { headers: { accept: "text/html" } });
  expect(page.headers.get("content-type")).toMatch(/^text\/html/);
  const text = await page.text();
  expect(text).toContain("new EventSource(location.pathname)");
  expect(text).toContain("item.textContent =");
});
