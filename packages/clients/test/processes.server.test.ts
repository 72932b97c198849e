import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";

interface AppProcess extends AsyncDisposable {
  readonly url: string;
  /** What it was told of who comes and goes. */
  readonly told: [name: string, event: Record<string, string>][];
  kill(): Promise<void>;
  /** Lets it stand still, with its connections open, or go on. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
}

async function startProcess(settings: object): Promise<AppProcess> {
  const program = fileURLToPath(new URL("site-process.ts", import.meta.url));
  const child: ChildProcess = spawn(
    process.execPath,
    ["--conditions=@lanai/source", program, JSON.stringify(settings)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const told: AppProcess["told"] = [];
  const url = await new Promise<string>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the process ended with ${code}`)));
    createInterface(child.stdout as NonNullable<typeof child.stdout>).on("line", (line) => {
      const [word, data] = JSON.parse(line);
      if (word === "url") resolve(data);
      else told.push([word, data]);
    });
  });
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  const signal = (name: NodeJS.Signals): void => void child.kill(name);
  return { url, told, kill, signal, [Symbol.asyncDispose]: kill };
}

const BOUND = 1_500;
/** A process that a busy machine lets wait for three of `presenceInterval` is lost, and told of twice. */
const options = { revalidateInterval: BOUND, presenceInterval: 1_500, leaveGrace: 100 };

/** Far below the next re-check. */
const SOON = 60_000;

/** The store lives on while the bus is killed. */
let store: RedisServer;

beforeAll(async () => {
  store = await startRedis();
});

afterAll(() => store?.stop());

describe.each<[string, () => Promise<RedisServer | NatsServer>]>([
  ["redis", startRedis],
  ["nats", startNats],
])("two processes on %s", (bus, start) => {
  let server: RedisServer | NatsServer;
  let here: AppProcess;
  let there: AppProcess;

  const startApp = (more: object = {}) =>
    startProcess({
      ...{ store: store.port, bus, port: server.port },
      options: { ...options, ...more },
    });

  beforeAll(async () => {
    server = await start();
    [here, there] = await Promise.all([startApp(), startApp()]);
  });

  afterAll(async () => {
    await Promise.all([here?.kill(), there?.kill()]);
    await server?.stop();
  });

  /** A user's tab in a process, when others know of it. */
  async function tabAt(user: string, where: AppProcess, others = [here, there]) {
    const browser = await new Browser(where).signIn(user);
    const tab = browser.tab();
    await tab.opened;
    await until(async () => {
      for (const { url } of others) {
        const presence = await fetch(`${url}/presence?user=${user}`);
        expect(await presence.json()).toMatchObject({ listeners: 1 });
      }
    });
    return { tab, browser };
  }

  const terminate = async (user: string, { url } = here) =>
    (await fetch(`${url}/terminate?user=${user}`)).json();

  test("a termination in one ends tabs in the other over the bus, long before a re-check", async () => {
    const rare = { revalidateInterval: 600_000, prefix: "rarely" };
    const apps = await Promise.all([startApp(rare), startApp(rare)]);
    await using near = apps[0];
    await using far = apps[1];
    const { tab, browser } = await tabAt("ada", far, apps);
    expect(await terminate("ada", near)).toMatchObject({ sessions: 1, here: 0, bus: "published" });
    expect(await tab.closed).toEqual({ code: 4401, reason: "terminated" });
    expect(await (await browser.get("/me")).json()).toMatchObject({ user: null });
  });

  test("a message in one reaches tabs in the other", async () => {
    const { tab } = await tabAt("grace", there);
    const sent = await fetch(`${here.url}/send?user=grace`);
    expect(await sent.json()).toEqual({ here: 0, bus: "published" });
    expect(await tab.next("notice")).toBe("hello");
    tab.socket.close();
  });

  test("with the bus killed they end within the bound, and when it is back", async () => {
    const { tab } = await tabAt("alan", there);
    await server.kill();
    const report = await terminate("alan");
    expect(report).toEqual({ sessions: 1, here: 0, bus: "queued", bound: BOUND });
    expect(await tab.closed).toEqual({ code: 4401, reason: "terminated" });

    // Both work on without it.
    const local = await new Browser(there).signIn("barbara");
    const other = local.tab();
    await other.opened;
    await fetch(`${there.url}/send?user=barbara`);
    expect(await other.next("notice")).toBe("hello");

    await server.restart();
    await until(async () => {
      await fetch(`${here.url}/send?user=barbara`);
      expect(other.all("notice").length).toBeGreaterThan(0);
    });
    expect(await terminate("barbara")).toMatchObject({ bus: "published" });
    expect((await other.closed).code).toBe(4401);
  });

  test("a termination that the bus missed reaches tabs as soon as it is back, long before a look", async () => {
    // Apart from the others, which look often.
    const rare = { revalidateInterval: 600_000, prefix: "rare" };
    const apps = await Promise.all([startApp(rare), startApp(rare)]);
    await using near = apps[0];
    await using far = apps[1];
    const { tab } = await tabAt("dorothy", far, apps);
    await server.kill();
    expect(await terminate("dorothy", near)).toEqual({
      ...{ sessions: 1, here: 0, bus: "queued", bound: 600_000 },
    });
    expect(tab.socket.readyState).toBe(tab.socket.OPEN);
    await server.restart();
    // Not awaited without an end, which would leave the processes behind.
    const ended = await Promise.race([tab.closed, wait(SOON, "still open")]);
    expect(ended).toEqual({ code: 4401, reason: "terminated" });
  });

  test("what a process that was killed had is gone within the bound, and empty comes once", async () => {
    const lost = await startApp();
    const { tab } = await tabAt("kay", lost);
    const before = [here.told.length, there.told.length];
    await lost.kill();
    await tab.closed;
    const toldOf = (user: string) =>
      [here, there]
        .flatMap(({ told }, i) => told.slice(before[i]))
        .filter(([, event]) => event.user === user)
        .map(([name]) => name)
        .toSorted();
    await until(async () => {
      for (const { url } of [here, there]) {
        const presence = await fetch(`${url}/presence?user=kay`);
        expect(await presence.json()).toMatchObject({ listeners: 0 });
      }
      expect(toldOf("kay")).toContain("empty");
    });
    // Once: whatever could tell it again has had its time when the next process was lost, too.
    const second = await startApp();
    await tabAt("jean", second);
    await second.kill();
    await until(() => expect(toldOf("jean")).toEqual(["empty", "leave"]));
    expect(toldOf("kay")).toEqual(["empty", "leave"]);
  });

  test("C8: a process that stands still is taken for lost, and what it has is back when it goes on", async () => {
    await using still = await startApp();
    const { tab } = await tabAt("edsger", still);
    const all = [here, there, still];
    const toldOf = (name: string) =>
      all.flatMap(({ told }) => told).filter(([it, { user }]) => it === name && user === "edsger");
    const listeners = async ({ url }: AppProcess): Promise<number> => {
      const presence = await fetch(`${url}/presence?user=edsger`);
      return ((await presence.json()) as { listeners: number }).listeners;
    };
    still.signal("SIGSTOP");
    await until(async () => {
      for (const it of [here, there]) expect(await listeners(it)).toBe(0);
      for (const name of ["leave", "empty"]) expect(toldOf(name)).toHaveLength(1);
    });
    still.signal("SIGCONT");
    await until(async () => {
      for (const it of all) expect(await listeners(it)).toBe(1);
      expect(toldOf("join").length).toBeGreaterThan(1);
    });
    // Its tab has noticed nothing, and is spoken to from the others.
    await fetch(`${here.url}/send?user=edsger`);
    expect(await tab.next("notice")).toBe("hello");
    tab.socket.close();
    await until(async () => {
      for (const it of all) expect(await listeners(it)).toBe(0);
    });
  });
});
