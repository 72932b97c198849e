import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { Shell, transcript } from "../../transcript.ts";

let program: AsyncDisposable;
let port: number;

beforeAll(async () => {
  port = await freePort();
  program = await startProgram(join(import.meta.dirname, ".."), "src/main.ts", port, {});
}, 30_000);

afterAll(() => program[Symbol.asyncDispose]());

async function signIn(name: string): Promise<string> {
  const { headers } = await fetch(`http://127.0.0.1:${port}/sign-in/${name}`, { method: "POST" });
  return headers.getSetCookie()[0]?.split(";")[0] ?? "";
}

async function enter(headers: Record<string, string>) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, { headers });
  const heard: string[] = [];
  socket.on("message", (text) => heard.push(String(text)));
  await once(socket, "open");
  return { socket, heard };
}

test("everyone in the room hears everyone, by the name of their session", async () => {
  const ada = await enter({ Cookie: await signIn("ada") });
  const grace = await enter({ Cookie: await signIn("grace") });
  ada.socket.send("hello");
  await vi.waitFor(() => expect(grace.heard).toEqual(["ada: hello"]));
  grace.socket.send("hi");
  await vi.waitFor(() => expect(ada.heard).toEqual(["ada: hello", "grace: hi"]));
  grace.socket.terminate();
  ada.socket.terminate();
});

test("a stranger, and a page of another origin, stay outside", async () => {
  await expect(enter({})).rejects.toThrow("401");
  const foreign = { Cookie: await signIn("ada"), Origin: "https://evil.example" };
  await expect(enter(foreign)).rejects.toThrow("403");
});

test("the page is there", async () => {
  const page = await fetch(`http://127.0.0.1:${port}/`);
  expect(page.headers.get("content-type")).toMatch(/^text\/html/);
  expect(await page.text()).toContain('new WebSocket("/chat")');
});

test("the README's commands print what it says", async () => {
  const shell = new Shell("http://localhost:3000", `http://127.0.0.1:${port}`);
  const steps = transcript(new URL("../README.md", import.meta.url));
  expect(steps.length).toBeGreaterThan(0);
  for (const { command, output } of steps) expect(await shell.run(command)).toBe(output);
});
