import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../services/server-process.ts";

const root = join(import.meta.dirname, "../..");

const start = (env: Record<string, string>): ChildProcess => {
  const folder = temporaryFolder("start");
  const child = spawn(process.execPath, ["scripts/start.js"], {
    cwd: root,
    env: { ...process.env, SESSIONS: join(folder.path, "sessions.db"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(async () => {
    child.kill();
    folder.remove();
  });
  return child;
};

/** What it wrote to either output, and its exit code. */
const outcome = async (env: Record<string, string>) => {
  const child = start(env);
  const [[code], said, complained] = await Promise.all([
    once(child, "close"),
    text(child.stdout as NonNullable<ChildProcess["stdout"]>),
    text(child.stderr as NonNullable<ChildProcess["stderr"]>),
  ]);
  return { code, said, complained };
};

test.for([
  ["abc", 'got "abc"'],
  ["-1", 'got "-1"'],
  ["", "it is empty"],
  ["99999", 'got "99999"'],
  ["65536", 'got "65536"'],
  ["80.5", 'got "80.5"'],
  ["0x50", 'got "0x50"'],
  [" 3000", 'got " 3000"'],
  ["3000\n", 'got "3000\\n"'],
] as const)("PORT=%j is refused in one sentence", async ([port, got]) => {
  expect(await outcome({ PORT: port })).toEqual({
    code: 1,
    said: "",
    complained: `PORT must be a whole number from 0 to 65535, ${got}.\n`,
  });
});

test("a port that is taken is named in one line, with another to try", async () => {
  const taken = createServer().listen(0);
  await once(taken, "listening");
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as { port: number };
  expect(await outcome({ PORT: `${port}` })).toEqual({
    code: 1,
    said: "",
    complained: `Port ${port} is taken. Choose another one: PORT=3001 npm start\n`,
  });
});

test("the address, what to try and how to stop are what it says, until an interrupt", async () => {
  const child = start({ PORT: "0" });
  let said = "";
  child.stdout?.on("data", (chunk) => {
    said += chunk;
  });
  await expect.poll(() => said).toMatch(/Ctrl\+C/);
  const [address, ...more] = said.trimEnd().split("\n");
  const [, url = ""] = /^.+: (http:\/\/localhost:\d+)$/.exec(address ?? "") ?? [];
  expect((await fetch(url)).status).toBe(200);
  expect(more.length).toBeLessThanOrEqual(3);
  child.kill("SIGINT");
  await once(child, "exit");
});
