import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programPath } from "../servers.js";

export interface ServerProgram {
  /** A name that `scripts/servers.js` finds. */
  readonly program: string;
  readonly args: readonly string[];
  /** Where it runs; its files are here. Nothing else is: it goes with the test's process. */
  readonly folder: string;
  /** What it writes, to either output, when it is ready. */
  readonly ready: RegExp;
  /** Whom it runs as. Default: whoever runs the tests. */
  readonly uid?: number;
  readonly gid?: number;
}

const START_TIMEOUT = 60_000;

/**
 * A server that a test has started, as a process group of its own. It and its folder end with the
 * test's process at the latest, also if that is killed.
 */
export class ServerProcess {
  readonly #program: ServerProgram;
  #child: ChildProcess | undefined;

  constructor(program: ServerProgram) {
    this.#program = program;
  }

  /** Resolves when it is ready. @throws with what it wrote, if it isn't within a minute. */
  start(): Promise<void> {
    const { program, args, folder, ready, ...user } = this.#program;
    const child = spawn(programPath(program), args, {
      ...user,
      cwd: folder,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    if (child.pid !== undefined) {
      const watcher = endWithUs(child.pid, folder);
      child.once("exit", () => watcher.kill("SIGKILL"));
    }

    let written = "";
    return new Promise((resolve, reject) => {
      const fail = (what: string) => {
        this.#signal("SIGKILL");
        reject(new Error(`${program} ${what}:\n${written}`));
      };
      const timer = setTimeout(fail, START_TIMEOUT, "was not ready in time");
      const read = (chunk: Buffer) => {
        // Read on also when it is ready: a full pipe would stop the server.
        if (written.length < 100_000) written += chunk;
        if (!ready.test(written)) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      child.once("exit", (code) => {
        clearTimeout(timer);
        fail(`ended with ${code}`);
      });
    });
  }

  /** Ends it at once, or as `signal` says, and waits until it has ended. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || !this.#isRunning(child)) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    this.#signal(signal);
    // One that is frozen hears of nothing but SIGKILL.
    if (signal !== "SIGKILL") this.#signal("SIGCONT");
    await ended;
  }

  /** Stops it without an end: connections stay open, nothing is answered from now on. */
  freeze(): void {
    this.#signal("SIGSTOP");
    const pid = this.#child?.pid;
    // A signal may take its time to stop every thread of a process that is busy.
    while (pid !== undefined && runs(pid));
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  #isRunning(child: ChildProcess): boolean {
    return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  #signal(signal: NodeJS.Signals): void {
    const child = this.#child;
    if (!child?.pid || !this.#isRunning(child)) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It has ended, and Node is about to say so.
    }
  }
}

/** Whether a thread of a process isn't stopped; `false` where a system doesn't tell in `/proc`. */
const runs = (pid: number): boolean => {
  try {
    return readdirSync(`/proc/${pid}/task`).some((thread) => {
      const [, state] =
        /\) (\w)/.exec(readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8")) ?? [];
      return !"TtZX".includes(state ?? "T");
    });
  } catch {
    return false;
  }
};

/**
 * Kills a process group and removes its folder as soon as this process has ended, however it did: its
 * pipe closes then.
 */
const endWithUs = (group: number, folder: string): ChildProcess => {
  const work = 'read -r _; kill -KILL -"$1"; rm -rf -- "$2"';
  const watcher = spawn("sh", ["-c", work, "sh", `${group}`, folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watcher.unref();
  return watcher;
};

/**
 * Ports that systems don't give to outgoing connections. Each worker of Vitest takes from a range of its
 * own, and none twice in turn: a server that is down for a moment must find its port free when it starts
 * again, and one that is about to start too.
 */
const PORTS = 2_500;
const FIRST = 10_000 + PORTS * (Number(process.env.VITEST_POOL_ID ?? 0) % 8);
let next = Math.floor(Math.random() * PORTS);

/** A port of loopback that was free a moment ago. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = FIRST + (next++ % PORTS);
    if (await isFree(port)) return port;
  }
};

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

/** A port that was free may be taken before the server has it. */
const ATTEMPTS = 5;

/** What `start` starts on a free port, on another one if that was taken meanwhile. */
export const onFreePort = async <T>(start: (port: number) => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (attempt === ATTEMPTS || !/address already in use/i.test(String(error))) throw error;
    }
  }
};

/** A new folder for a server's files; `remove` when the server has ended. */
export const temporaryFolder = (name: string): { path: string; remove(): void } => {
  const path = mkdtempSync(join(tmpdir(), `lanai-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
};
