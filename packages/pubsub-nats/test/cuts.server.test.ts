import type { PubSubError } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { listen } from "./fixture.ts";
import { startProxy } from "./proxy.ts";
import { connectTo, until } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

/** Fails the test for whatever would have ended a process. */
function noStrayErrors(): void {
  const stray: unknown[] = [];
  const catchIt = (error: unknown) => stray.push(error);
  process.on("unhandledRejection", catchIt);
  process.on("uncaughtException", catchIt);
  onTestFinished(async () => {
    await new Promise(setImmediate);
    process.off("unhandledRejection", catchIt);
    process.off("uncaughtException", catchIt);
    expect(stray).toEqual([]);
  });
}

/** The time for a connect that nothing cuts, in milliseconds. */
const PATIENT = { timeout: 60_000 };
const CODES = ["ERR_PUBSUB_UNAVAILABLE", "ERR_PUBSUB_NOT_RETAINED", "ERR_PUBSUB_CLOSED"];

/** Uses everything there is, and expects each call to end as promised. */
async function useEverything(port: number, reconnect: boolean, t: string): Promise<void> {
  const connection = await connectTo({ port }, { reconnect, reconnectTimeWait: 10 });
  const errors: PubSubError[] = [];
  const settle = async (call: () => Promise<unknown>) => {
    try {
      await call();
    } catch (error) {
      expect(CODES).toContain((error as PubSubError).code);
      errors.push(error as PubSubError);
    }
  };
  let backend: ReturnType<typeof natsPubSub>;
  try {
    backend = natsPubSub(connection, { timeout: 2_000, checkInterval: 100 });
  } catch (error) {
    expect(error).toMatchObject({ code: "ERR_PUBSUB_UNAVAILABLE" });
    return;
  }
  const { signal } = new AbortController();
  await Promise.all([
    settle(() => backend.ensureStream({ name: t, subjects: [`${t}.kept.>`] })),
    settle(() => backend.publish(`${t}.plain`, "0")),
  ]);
  const subscriptions = await Promise.allSettled([
    listen(backend, `${t}.kept.a`, { replay: 5, signal }),
    listen(backend, `${t}.kept.*`, { signal }),
    listen(backend, `${t}.plain`),
  ]);
  for (let i = 0; i < 5; i++) {
    await Promise.all([
      settle(() => backend.publish(`${t}.kept.a`, `${i}`)),
      settle(() => backend.publish(`${t}.plain`, `${i}`)),
      settle(() => backend.history(`${t}.kept.a`, 3)),
    ]);
  }
  await settle(() => backend.ensureStream({ name: t, subjects: [`${t}.other`] }));
  await settle(() => backend.publish(`${t}.kept.a`, "last"));
  if (connection.isClosed()) {
    for (const result of subscriptions) {
      if (result.status === "fulfilled") await result.value.subscription.closed;
    }
  }
  await backend.close();
  await connection.close();
}

describe.each([true, false])("with reconnect: %s", (reconnect) => {
  test("a connection that is cut at any moment ends no process, and every call settles", async () => {
    noStrayErrors();
    let chunk = 1;
    let isThrough = false;
    // From the first chunk after the greeting to where nothing is left to cut.
    while (!isThrough) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const at = chunk++;
          await using proxy = await startProxy(server.port);
          proxy.cutAfter = at;
          try {
            await useEverything(proxy.port, reconnect, `cut-${reconnect}-${at}`);
            if (proxy.cutAfter !== undefined) isThrough = true;
          } catch (error) {
            const { name } = error as Error;
            expect(name).not.toBe("AssertionError");
            // The app's own connect was cut, or had too little time on a busy machine.
            if (name !== "TimeoutError") expect(at).toBeLessThan(8);
          }
        }),
      );
    }
    expect(chunk).toBeGreaterThan(30);
  });
});

test("a connection that the app drains or closes in the middle ends every call, and no process", async () => {
  noStrayErrors();
  for (const end of ["drain", "close"] as const) {
    for (let turns = 0; turns < 20; turns++) {
      const connection = await connectTo(server, PATIENT);
      const t = `${end}-${turns}`;
      const backend = natsPubSub(connection, { timeout: 1_000, checkInterval: 100 });
      await backend.ensureStream({ name: t, subjects: [`${t}.kept.>`] });
      const listeners = [await listen(backend, `${t}.kept.a`), await listen(backend, `${t}.plain`)];
      const publishing = Promise.allSettled(
        Array.from({ length: 20 }, (_, i) => [
          backend.publish(`${t}.kept.a`, `${i}`),
          backend.publish(`${t}.plain`, `${i}`),
          backend.subscribe(`${t}.kept.*`, () => {}, { replay: 5, onError: () => {} }),
        ]).flat(),
      );
      for (let i = 0; i < turns; i++) await new Promise(setImmediate);
      await connection[end]();
      for (const result of await publishing) {
        if (result.status === "rejected") expect(CODES).toContain(result.reason.code);
      }
      await Promise.all(listeners.map(({ subscription }) => subscription.closed));
      await backend.close();
    }
  }
});

test("a connection that is closed already is refused with a typed error", async () => {
  const connection = await connectTo(server);
  await connection.close();
  await until("it is closed", () => connection.isClosed());
  expect(() => natsPubSub(connection)).toThrow(/the connection to NATS is closed/);
});
