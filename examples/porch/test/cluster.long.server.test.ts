import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Browser as Chromium } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { programPath } from "../../../scripts/servers.js";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { startNats } from "../../../scripts/services/nats.ts";
import { startRedis } from "../../../scripts/services/redis.ts";
import { freePort, temporaryFolder } from "../../../scripts/services/server-process.ts";
import { Browser } from "./browser.ts";

/** Which processes are killed at the same moment, one group after the other. */
const KILLED = process.env.LONG ? [[1], [2], [3], [1, 2], [2, 3], [3, 1]] : [[1, 2], [3]];
let chromium: Chromium;

beforeAll(async () => {
  chromium = await startChromium();
});
afterAll(() => chromium?.close());

/** `npm run cluster`, on a free port, and what it has said so far. */
async function startCluster(env: Record<string, string>) {
  const port = await freePort();
  const folder = temporaryFolder("porch-cluster");
  const program = fileURLToPath(new URL("../src/cluster.ts", import.meta.url));
  const flags = ["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning"];
  const SESSIONS = `${folder.path}/sessions.db`;
  const child: ChildProcess = spawn(process.execPath, [...flags, program], {
    env: { ...process.env, NGINX: programPath("nginx"), PORT: `${port}`, SESSIONS, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  // Also where a test runs out of time.
  onTestFinished(() => void child.kill("SIGTERM"));
  let said = "";
  for (const output of [child.stdout, child.stderr]) {
    output?.on("data", (text) => {
      said += text;
    });
  }
  const saysSo = (text: string | RegExp) => expect.poll(() => said).toMatch(text);
  await saysSo("behind nginx");
  return {
    url: `http://127.0.0.1:${port}`,
    /** Kills a process as a crash would, and waits until it is up again. */
    async kill(number: number) {
      const pids = () => [...said.matchAll(new RegExp(`Process ${number} is up, as (\\d+)`, "g"))];
      const before = pids();
      process.kill(Number(before.at(-1)?.[1]), "SIGKILL");
      const isUp = () => pids().length > before.length;
      await expect.poll(isUp, { message: said }).toBe(true);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      folder.remove();
    },
  };
}

/** Posts numbered messages, ten at least, each until it is known to be stored, without a script. */
async function chat(visitor: Browser, name: string, signal: AbortSignal): Promise<string[]> {
  const said: string[] = [];
  for (let n = 1; n <= 10 || (!signal.aborted && n <= 450); n++) {
    const draft = { id: `${name}-${n}`, text: `${name} ${n}` };
    let tries = 0;
    // A process that is killed may have stored the message without an answer: it is sent again.
    while ((await visitor.post("/rooms/lobby", draft).catch(() => undefined))?.status !== 303) {
      if (++tries > 600) throw new Error(`${draft.text} was never stored`);
      await pause(50);
    }
    said.push(draft.text);
    await pause(150);
  }
  return said;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const buses = [
  ["Redis", startRedis, (port: number) => ({ REDIS_URL: `redis://127.0.0.1:${port}` })],
  ["NATS", startNats, (port: number) => ({ NATS_URL: `nats://127.0.0.1:${port}` })],
] as const;

test.for(process.env.LONG ? buses : buses.slice(0, 1))(
  "a reader who stays misses and duplicates nothing while each process is killed (%s)",
  async ([, start, env]) => {
    await using broker = await start();
    await using cluster = await startCluster(env(broker.port));
    await using context = await chromium.newContext({ baseURL: cluster.url });
    const page = await context.newPage();
    await page.goto("/sign-in");
    await page.getByLabel("Name").fill("reader");
    await page.getByLabel("Password").fill("aloha");
    await page.locator("main").getByRole("button", { name: "Sign in" }).click();
    await page.goto("/rooms/lobby");
    await page.locator("[data-here]", { hasText: "reader" }).waitFor();

    const end = new AbortController();
    const visitors = ["ada", "bob"].map((name) => [name, new Browser(cluster.url)] as const);
    for (const [name, visitor] of visitors) expect((await visitor.signIn(name)).status).toBe(303);
    const writers = visitors.map(([name, visitor]) => chat(visitor, name, end.signal));
    for (const group of KILLED) await Promise.all(group.map(cluster.kill));
    end.abort();
    const said = (await Promise.all(writers)).flat();
    expect(said.length).toBeGreaterThanOrEqual(20);
    const shown = () => page.locator(".posts li p").allTextContents();
    await expect.poll(async () => (await shown()).length).toBe(said.length);
    expect((await shown()).sort()).toEqual(said.sort());
    expect(await page.locator("[data-state]").textContent()).not.toContain("missing");
  },
);

test("without a bus it says what to set, in one sentence", async () => {
  const program = fileURLToPath(new URL("../src/cluster.ts", import.meta.url));
  const env = { ...process.env, REDIS_URL: "", NATS_URL: "" };
  const child = spawn(process.execPath, [program], { env, stdio: ["ignore", "ignore", "pipe"] });
  const [sentence] = await once(child.stderr as NonNullable<typeof child.stderr>, "data");
  expect(String(sentence)).toContain("set REDIS_URL or NATS_URL");
});
