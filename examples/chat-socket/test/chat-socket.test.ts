import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { connect, type Line } from "@lanai/browser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostOf } from "../../../packages/channels/test/page.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { startProgram } from "../../program.ts";
import type { Live } from "../src/main.ts";

const browser = "../../../packages/browser";

let program: Awaited<ReturnType<typeof startProgram>>;
let port: number;
const lines: Line<Live>[] = [];

beforeAll(async () => {
  // The page imports the built client.
  execFileSync("npm", ["exec", "--", "tsc", "-b", join(import.meta.dirname, browser)]);
  port = await freePort();
  program = await startProgram(join(import.meta.dirname, ".."), "src/main.ts", port, {
    DELAY: "0",
    OVER: "100",
  });
});

afterAll(async () => {
  for (const line of lines) line.close();
  await program[Symbol.asyncDispose]();
});

const visit = async (path: string, method: string): Promise<string> => {
  const { headers } = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return headers
    .getSetCookie()
    .map((it) => it.split(";")[0])
    .join("; ");
};

function enter(cookie: string, id: string) {
  const line = connect<Live>(`http://127.0.0.1:${port}/live`, { host: hostOf(cookie) });
  lines.push(line);
  const room = line.join("room.:id", { id }, { replay: 50 });
  const said: string[] = [];
  room.on("said", ({ by, text }) => said.push(`${by}: ${text}`));
  return { room, said };
}

test("everyone in the room hears everyone, by the name of their session, also what came before", async () => {
  const ada = enter(await visit("/sign-in/ada", "POST"), "general");
  await ada.room.call("say", { text: "hello" });
  const grace = enter(await visit("/sign-in/grace", "POST"), "general");
  await grace.room.call("say", { text: "hi" });
  for (const { said } of [ada, grace]) {
    await until(() => expect(said).toEqual(["ada: hello", "grace: hi"]));
  }
  await until(() =>
    expect(ada.room.members.map(({ data }) => data.name).sort()).toEqual(["ada", "grace"]),
  );
  await expect(ada.room.call("say", { text: "" })).rejects.toMatchObject({
    code: "ERR_CHANNELS_DATA",
  });
});

test("a stranger may connect, and not enter", async () => {
  const { room } = enter(await visit("/", "GET"), "general");
  await expect(room.joined).rejects.toMatchObject({ code: "ERR_REFUSED" });
});

test("the page and its client are there", async () => {
  const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  expect(await get("/")).toContain('src="/page.js"');
  expect(await get("/page.js")).toContain('from "/lanai/index.js"');
  expect(await get("/lanai/index.js")).toContain("./connect.js");
});

test("at SIGTERM the pages are sent away, and the program ends by itself", async () => {
  const line = connect<Live>(`http://127.0.0.1:${port}/live`, {
    host: hostOf(await visit("/sign-in/ada", "POST")),
  });
  lines.push(line);
  await line.join("room.:id", { id: "general" }).joined;
  expect(await program.stop()).toBe(0);
  await until(() => expect(line.state).not.toBe("open"));
});
