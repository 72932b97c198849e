// What standstill.ts starts and stops: makes one call of each kind when it is told to, and reports how each
// ended. Its arguments are the place of the store, as JSON, and the store's timeout.
import { createSessions, type Session } from "@lanai/session";
import { openStoreAt } from "../src/testing/processes/store-at.ts";

const [at = "", storeTimeout] = process.argv.slice(2);
const store = await openStoreAt(JSON.parse(at));
const sessions = createSessions({ store, storeTimeout: Number(storeTimeout) });

/** Each is one step of the store, so that its answer is all that is missing. */
const CALLS: Record<string, (session: Session) => Promise<unknown>> = {
  load: (session) => sessions.open(session.id as string),
  commit(session) {
    session.set("a", 1);
    return session.commit();
  },
  update: (session) => session.update("count", (count) => Number(count ?? 0) + 1),
  renewId(session) {
    session.renewId();
    return session.commit();
  },
  login(session) {
    session.login("bob");
    return session.commit();
  },
  create: () => sessions.create({ userId: "eve" }),
  destroy: (session) => session.destroy(),
};

/** Makes a session for a call of each kind, and returns what makes the calls. */
async function prepare(): Promise<() => Promise<Record<string, string>>> {
  const made = await Promise.all(
    Object.entries(CALLS).map(async ([name, call]) => {
      const { session } = await sessions.create({ userId: "ada", values: { a: 0 } });
      return [name, call, session] as const;
    }),
  );
  return async () => {
    const ends = made.map(async ([name, call, session]) => {
      const how = await call(session).then(
        () => "resolved",
        (error) => `${error.message}: ${error.cause?.message}`,
      );
      return [name, how];
    });
    return Object.fromEntries(await Promise.all(ends));
  };
}

// Connections and scripts are there from then on.
await (await prepare())();
const callAll = await prepare();
process.on("message", () => void answer());

async function answer(): Promise<void> {
  const ended = callAll();
  // What was asked for is with the server, or on the way to it.
  for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
  process.send?.("asked");
  process.send?.(await ended);
}
process.once("disconnect", () => process.exit());
process.send?.("ready");
