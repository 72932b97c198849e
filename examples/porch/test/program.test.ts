import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Shell, transcript } from "../../transcript.ts";
import { expectRedirect, startApp } from "./app.ts";
import { Browser } from "./browser.ts";

test("the README's commands print what it says", async () => {
  const { url, stop } = await startApp();
  onTestFinished(stop);
  const shell = new Shell("http://localhost:3000", url);
  const steps = transcript(new URL("../README.md", import.meta.url));
  expect(steps.length).toBeGreaterThan(0);
  for (const { command, output } of steps) {
    expect(mask(await shell.run(command)), command).toBe(mask(output));
  }
});

/** What is another one each time: ids, public ids and instants. */
const mask = (text: string): string =>
  text
    .replaceAll(/\bsid=[\w-]{43}/g, "sid=<id>")
    .replaceAll(/"publicId":"[\w-]{22}"/g, '"publicId":"<public id>"')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<instant>")
    .replaceAll(/^Date: .*$/gm, "Date: <date>")
    // The server of tests keeps idle connections for as long as it takes.
    .replaceAll(/^Keep-Alive: .*\n/gm, "");

describe("the program", () => {
  let file: string;

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), "lanai-porch-"));
    // In a folder that isn't there yet, as after a fresh checkout.
    file = join(folder, "data", "sessions.db");
    return () => rmSync(folder, { recursive: true, force: true });
  });

  const run = (port: string) => {
    const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
    const child = spawn(
      process.execPath,
      ["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning", main],
      {
        env: { ...process.env, PORT: port, SESSIONS: file },
      },
    );
    onTestFinished(() => void child.kill());
    return child;
  };

  const addressOf = async ({ stdout }: ReturnType<typeof run>): Promise<string> => {
    const [line] = await once(createInterface(stdout), "line");
    return /http:\/\/localhost:\d+$/.exec(line)?.[0] ?? "";
  };

  test("says where it listens", async () => {
    const address = await addressOf(run("0"));
    expect(await new Browser(address).page("/")).toContain("Sessions that two tabs can’t break");
  });

  test("keeps who is signed in through a restart, also one without a goodbye", async () => {
    const first = run("0");
    const before = new Browser(await addressOf(first));
    await before.signIn("ada");
    expect(await before.page("/home")).toContain('<strong class="count">1</strong>');
    first.kill("SIGKILL");
    await once(first, "exit");

    const after = before.clone(await addressOf(run("0")));
    expect(await after.page("/home")).toContain('<strong class="count">2</strong>');
    expect(await after.page("/devices")).toContain("This device");
    expectRedirect(await after.post("/sign-out"), 303, "/sign-in");
  });

  test("says what to do if the port is taken", async () => {
    const [port = ""] = /\d+$/.exec(await addressOf(run("0"))) ?? [];
    const second = run(port);
    const [complaint] = await once(createInterface(second.stderr), "line");
    expect(complaint).toBe(`Port ${port} is taken. Choose another one: PORT=3001 npm start`);
    const [code] = await once(second, "exit");
    expect(code).toBe(1);
  });
});

test.each([
  { program: "main.ts", PORT: "", least: 0 },
  { program: "main.ts", PORT: "65536", least: 0 },
  { program: "cluster.ts", PORT: "", least: 1 },
  { program: "cluster.ts", PORT: "0", least: 1 },
  { program: "cluster.ts", PORT: "65536", least: 1 },
])("$program refuses PORT=$PORT in one sentence", ({ program, PORT, least }) => {
  const file = fileURLToPath(new URL(`../src/${program}`, import.meta.url));
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning", file],
    { env: { ...process.env, PORT, REDIS_URL: "redis://127.0.0.1" }, encoding: "utf8" },
  );
  expect(stderr).toBe(
    `PORT must be a whole number from ${least} to 65535, got ${JSON.stringify(PORT)}.\n`,
  );
  expect(status).toBe(1);
});
