import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  after,
  afterTurn,
  repeat,
  type Watchdog,
  watchdog,
  within,
} from "@lanai/connection/deadline";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const ASKS = fileURLToPath(new URL("./children/asks.ts", import.meta.url));
const WATCHES = fileURLToPath(new URL("./children/watches.ts", import.meta.url));

/** How long a child is stopped, in milliseconds: more than its deadline, and than its interval. */
const STOPPED = 600;

interface Told {
  readonly outcome: string;
  readonly ms: number;
}

/**
 * Runs a child that asks, and then stops itself or computes. When it has been asked, the parent
 * answers with `reply`, if there is one, and only then lets the child go on.
 */
async function runChild(kind: string, reply?: string, program = ASKS): Promise<Told> {
  const over = new AbortController();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      if (reply === undefined) void letGoOn();
      else socket.end(reply, () => void letGoOn());
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const child = spawn(process.execPath, ["-C", "@lanai/source", program, String(port), kind], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const letGoOn = async (): Promise<void> => {
    child.stdin.end(".");
    await sleep(STOPPED);
    // Again, as it may be about to stop itself only now.
    for (; !over.signal.aborted; await sleep(20)) child.kill("SIGCONT");
  };
  try {
    return JSON.parse(await text(child.stdout)) as Told;
  } finally {
    over.abort();
    child.kill("SIGKILL");
    server.close();
  }
}

describe("a process that stood still past its deadline", () => {
  test("takes the answer that a socket has received meanwhile", async () => {
    const told = await runChild("tcp", "answer");
    expect(told.ms).toBeGreaterThan(STOPPED / 2);
    expect(told.outcome).toBe("answer");
  });

  test("takes an HTTP response, which comes in several steps", async () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n";
    expect((await runChild("http", `${head}answer`)).outcome).toBe("answer");
  });

  test("takes the answer also if it computed", async () => {
    expect((await runChild("busy", "answer")).outcome).toBe("answer");
  });

  test("is told of an outage if no answer came", async () => {
    expect((await runChild("tcp")).outcome).toBe("outage");
  });
});

describe("a process that stood still between two pings", () => {
  test("asks its peer again before it takes it for dead", async () => {
    expect((await runChild("stops", undefined, WATCHES)).outcome).toBe("alive");
  });

  test("takes a silent peer for dead if it did not stand still", async () => {
    expect((await runChild("runs", undefined, WATCHES)).outcome).toBe("dead");
  });
});

/** Lets a few turns of the real event loop pass. */
const turns = (): Promise<void> => new Promise((resolve) => afterTurn(resolve));

describe("within", () => {
  test("returns a synchronous answer as it is, without a timer", () => {
    const timer = vi.spyOn(globalThis, "setTimeout");
    expect(within(10, 7 as number | Promise<number>, () => 0)).toBe(7);
    expect(
      within(10, undefined as undefined | Promise<undefined>, () => undefined),
    ).toBeUndefined();
    expect(timer).not.toHaveBeenCalled();
    timer.mockRestore();
  });

  test("resolves or rejects as the answer does, and clears its timer", async () => {
    const cleared = vi.spyOn(globalThis, "clearTimeout");
    await expect(within(60_000, Promise.resolve(1), () => 2)).resolves.toBe(1);
    const failure = new Error("no");
    await expect(within(60_000, Promise.reject(failure), () => 2)).rejects.toBe(failure);
    expect(cleared).toHaveBeenCalledTimes(2);
    cleared.mockRestore();
  });

  test("resolves to what onTimeout returns, and rejects with what it throws", async () => {
    const never = new Promise<string>(() => {});
    await expect(within(1, never, () => "late")).resolves.toBe("late");
    const failure = new Error("late");
    await expect(
      within(1, never, () => {
        throw failure;
      }),
    ).rejects.toBe(failure);
  });

  test("drops a rejection after the deadline", async () => {
    const { promise, reject } = Promise.withResolvers<string>();
    await expect(within(1, promise, () => "late")).resolves.toBe("late");
    reject(new Error("too late"));
    await turns();
  });

  test("never times out after Infinity, for which Node would take 1 ms", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const answer = within(Infinity, promise, () => "late");
    const overflow = within(2 ** 31, promise, () => "late");
    await sleep(5);
    await turns();
    resolve("answer");
    expect(await Promise.all([answer, overflow])).toEqual(["answer", "answer"]);
  });
});

describe("after", () => {
  test("is cancelled also between its timer and its decision", async () => {
    const fn = vi.fn();
    const cancel = after(1, fn);
    const until = performance.now() + 5;
    while (performance.now() < until);
    // Due since, so it fires in the next timers phase, before this immediate.
    await new Promise((resolve) => setImmediate(resolve));
    cancel();
    await turns();
    await turns();
    expect(fn).not.toHaveBeenCalled();
  });

  test("keeps no process alive if it is unref'ed, and one if it is not", () => {
    const timer = vi.spyOn(globalThis, "setTimeout");
    const cancels = [after(60_000, () => {}, { unref: true }), after(60_000, () => {})];
    const hasRef = timer.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
    for (const cancel of cancels) cancel();
    timer.mockRestore();
    expect(hasRef).toEqual([false, true]);
  });
});

describe("repeat and watchdog", () => {
  let now: number;
  const clock = (): number => now;
  const INTERVAL = 1_000;

  beforeEach(() => {
    now = 0;
    vi.useFakeTimers({
      toFake: ["setInterval", "clearInterval", "setImmediate", "clearImmediate"],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Time passes, and the process runs. */
  const run = (ms: number): void => {
    for (let left = ms; left > 0; left -= 50) {
      now += 50;
      vi.advanceTimersByTime(50);
    }
  };
  /** Time passes, and no timer fires until the process goes on. */
  const standStill = (ms: number): void => {
    now += ms;
  };

  test("calls every interval", () => {
    const fn = vi.fn();
    const stop = repeat(INTERVAL, fn, { clock });
    run(3 * INTERVAL + 50);
    expect(fn.mock.calls).toEqual([[false], [false], [false]]);
    stop();
    run(3 * INTERVAL);
    expect(fn).toHaveBeenCalledTimes(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("says soon that the process stood still, and begins a full interval", () => {
    const fn = vi.fn();
    const stop = repeat(INTERVAL, fn, { clock });
    run(INTERVAL / 2);
    standStill(10 * INTERVAL);
    run(INTERVAL / 4 + 50);
    expect(fn.mock.calls).toEqual([[true]]);
    run(INTERVAL - 100);
    expect(fn).toHaveBeenCalledTimes(1);
    run(100);
    expect(fn.mock.calls).toEqual([[true], [false]]);
    stop();
  });

  test("judges also if the process lags all the time", () => {
    const fn = vi.fn();
    const stop = repeat(INTERVAL, fn, { clock });
    for (let turn = 0; turn < 40; turn++) {
      standStill(INTERVAL);
      run(50);
    }
    expect(fn).toHaveBeenCalled();
    stop();
  });

  test("never repeats after Infinity", () => {
    const stop = repeat(Infinity, () => {}, { clock });
    expect(vi.getTimerCount()).toBe(0);
    stop();
  });

  test.each([1, 3])("a peer is dead after %i intervals of silence, and once", (misses) => {
    const probe = vi.fn();
    const onDead = vi.fn();
    const dog = watchdog({ interval: INTERVAL, misses, probe, onDead, clock });
    expect(probe).toHaveBeenCalledTimes(1);
    run(misses * INTERVAL - 50);
    expect(onDead).not.toHaveBeenCalled();
    run(3 * INTERVAL);
    expect(onDead).toHaveBeenCalledTimes(1);
    expect(probe).toHaveBeenCalledTimes(misses);
    dog.stop();
  });

  test("a peer that answers lives, also if it answers within the question", () => {
    const onDead = vi.fn();
    let dog: Watchdog | undefined;
    dog = watchdog({ interval: INTERVAL, probe: () => dog?.heard(), onDead, clock });
    dog.heard();
    run(10 * INTERVAL);
    expect(onDead).not.toHaveBeenCalled();
    dog.stop();
    run(INTERVAL);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a pause is held against no peer: it is asked again and has a full interval", () => {
    const probe = vi.fn();
    const onDead = vi.fn();
    const dog = watchdog({ interval: INTERVAL, probe, onDead, clock });
    run(INTERVAL - 100);
    standStill(60 * INTERVAL);
    run(INTERVAL / 2);
    expect(probe).toHaveBeenCalledTimes(2);
    expect(onDead).not.toHaveBeenCalled();
    run(INTERVAL);
    expect(onDead).toHaveBeenCalledTimes(1);
    dog.stop();
  });
});
