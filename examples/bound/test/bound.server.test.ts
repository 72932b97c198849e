import { type ChildProcess, execFile, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  BOUND,
  makeCertificate,
  startBoundChromium,
} from "../../../scripts/services/bound-chromium.ts";
import { freePort, temporaryFolder } from "../../../scripts/services/server-process.ts";
import { transcript } from "../../transcript.ts";

const folder = join(import.meta.dirname, "..");
const conditions = process.cwd() === folder ? [] : ["--conditions=@lanai/source"];

let files: { readonly path: string; remove(): void };
let program: ChildProcess;
let chromium: Browser;
let port: number;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  const certificate = makeCertificate();
  files = temporaryFolder("bound");
  port = await freePort();
  env = {
    ...process.env,
    PORT: `${port}`,
    // Long enough for the thief to start on a busy machine.
    LIFETIME: "8000",
    KEY: join(files.path, "key.pem"),
    CERT: join(files.path, "cert.pem"),
  };
  writeFileSync(env.KEY as string, certificate.key);
  writeFileSync(env.CERT as string, certificate.cert);
  const stdio: StdioOptions = ["ignore", "pipe", "inherit"];
  program = spawn(process.execPath, [...conditions, "src/main.ts"], { cwd: folder, env, stdio });
  if (program.stdout) await once(program.stdout, "data");
  chromium = await startBoundChromium(certificate, BOUND);
});

afterAll(async () => {
  program?.kill("SIGKILL");
  await chromium?.close();
  files?.remove();
});

test("a sign-in binds the session; the thief's output is that of the README, and the owner stays", async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  await page.goto(`https://localhost:${port}/sign-in`);
  await page.getByText("Sign in as ada").click();
  await page.getByText("ada: this session is bound to this device").waitFor();
  await page.getByText("live: ada").waitFor();

  const jar = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const steal = promisify(execFile);
  const args = [...conditions, "src/thief.ts", jar];
  const { stdout } = await steal(process.execPath, args, { cwd: folder, env });
  const steps = transcript(new URL("../README.md", import.meta.url));
  const shown = steps.find((it) => it.command.includes("thief"));
  expect(stdout.trimEnd()).toBe(shown?.output);

  await page.getByText("live, extended").waitFor();
  await page.reload();
  await page.getByText("ada: this session is bound to this device").waitFor();
  await page.getByText("Sign out").click();
  await page.getByText("Nobody is signed in.").waitFor();
  await context.close();
});
