import assert from "node:assert/strict";
import type { Session } from "../../session.ts";
import { createSessions, type Sessions } from "../../sessions.ts";
import type { Store } from "../../store.ts";
import type { Case } from "./case.ts";

/**
 * Two holders of one session, A and B. A loads it, renews its id (by `login` or `renewId`), commits
 * and makes one more call. B loads it by the same id and makes three calls. This is every order in
 * which their steps can come: 2 renewals, 5 calls of A, 125 of B, and 70 ways to take turns.
 */
const RENEWAL_ORDERS: number = 2 * 5 * 5 ** 3 * 70;

const CALLS = ["commit", "update", "pop", "reload", "destroy"] as const;
type Call = (typeof CALLS)[number];

interface Order {
  readonly renewal: "login" | "renewId";
  readonly callOfA: Call;
  readonly callsOfB: readonly Call[];
  readonly turns: readonly ("A" | "B")[];
}

/** All ways in which A and B can take four turns each. */
const TURNS = Array.from({ length: 256 }, (_, bits) =>
  Array.from({ length: 8 }, (__, n): "A" | "B" => (bits & (1 << n) ? "A" : "B")),
).filter((turns) => turns.filter((turn) => turn === "A").length === 4);

function orderAt(index: number): Order {
  let rest = index;
  const take = <T>(choices: readonly T[]): T => {
    const choice = choices[rest % choices.length] as T;
    rest = Math.floor(rest / choices.length);
    return choice;
  };
  return {
    renewal: take(["login", "renewId"] as const),
    callOfA: take(CALLS),
    callsOfB: [take(CALLS), take(CALLS), take(CALLS)],
    turns: take(TURNS),
  };
}

/** One of the two holders, and the result that it received. */
class Holder {
  readonly name: "A" | "B";
  session: Session | undefined;
  /** Whether it has signed out, and goes on with a session of its own. */
  isOut = false;
  #calls = 0;

  constructor(name: "A" | "B") {
    this.name = name;
  }

  /** A key that no other call sets. */
  nextKey(): string {
    this.#calls += 1;
    return `${this.name} ${this.#calls}`;
  }
}

/** The content that the session must have in the end, from the results of the holders. */
class Expected {
  readonly keys = new Set(["n"]);
  updates = 0;
  pops = 0;
  isEnded = false;
}

const codeOf = (error: unknown) => (error as { code?: unknown }).code;

async function run(sessions: Sessions, { renewal, callOfA, callsOfB, turns }: Order) {
  const user = `user-${Math.random()}`;
  const { session: planted } = await sessions.create({
    values: { n: 0, once: "it" },
    ...(renewal === "renewId" && { userId: user }),
  });
  const { id = "", publicId } = planted;
  const [a, b] = [new Holder("A"), new Holder("B")];
  const expected = new Expected();
  let hasUserChanged = false;

  const open = (holder: Holder) => async () => {
    holder.session = await sessions.open(id);
  };

  /** Checks the error of a call that may be refused. */
  const refused = (holder: Holder, error: unknown) => {
    const code = codeOf(error);
    assert.ok(
      code === "ERR_SESSION_GONE" || code === "ERR_SESSION_RENEWED",
      `${holder.name} got ${String(error)}`,
    );
    if (code === "ERR_SESSION_GONE") assert.ok(expected.isEnded, "gone, and nobody ended it");
  };

  const call = (holder: Holder, what: Call) => async () => {
    const { session } = holder;
    if (session === undefined) return;
    const isHolding = () => !holder.isOut && session.publicId === publicId;
    const mayWrite = holder.name === "A" || !hasUserChanged;
    try {
      if (what === "commit") {
        const key = holder.nextKey();
        await session.set(key, 1).commit();
        if (isHolding()) {
          assert.ok(mayWrite, "a write was accepted after a change of the user");
          expected.keys.add(key);
        }
      } else if (what === "update") {
        await session.update("n", (n) => Number(n ?? 0) + 1);
        if (isHolding()) {
          assert.ok(mayWrite, "an update was accepted after a change of the user");
          expected.updates += 1;
        }
      } else if (what === "pop") {
        const isOurs = isHolding();
        const popped = await session.pop("once");
        if (popped !== undefined && isOurs) {
          assert.equal(popped, "it");
          assert.ok(mayWrite, "a pop was accepted after a change of the user");
          expected.pops += 1;
        }
      } else if (what === "reload") {
        await session.reload();
      } else {
        await session.destroy();
        if (!holder.isOut) expected.isEnded = true;
        holder.isOut = true;
      }
    } catch (error) {
      refused(holder, error);
    }
  };

  const renew = async () => {
    if (a.session === undefined) return;
    a.session.set("secret", "of A");
    if (renewal === "login") a.session.login(user);
    else a.session.renewId();
  };

  const commitRenewal = async () => {
    if (a.session === undefined) return;
    try {
      await a.session.commit();
    } catch (error) {
      return refused(a, error);
    }
    if (a.session.publicId !== publicId) {
      a.isOut = true;
      return;
    }
    expected.keys.add("secret");
    hasUserChanged = renewal === "login";
  };

  const steps = {
    A: [open(a), renew, commitRenewal, call(a, callOfA)],
    B: [open(b), ...callsOfB.map((what) => call(b, what))],
  };
  const hidden = () => ["of A", '"A ', ...(renewal === "login" ? [user] : []), a.session?.id];

  for (const turn of turns) {
    await steps[turn].shift()?.();
    // B sees what A set only if A had stored it before B loaded; A stores nothing before it renews.
    const { session } = b;
    const seen = JSON.stringify([session?.userId, session?.id, session?.owners, session]);
    for (const secret of hidden()) {
      if (secret === undefined || (secret === id && a.session?.id === id)) continue;
      assert.ok(!seen.includes(secret), `B sees what A set after the renewal: ${seen}`);
    }
  }

  const held = [id, a.session?.id].flatMap((it) => it ?? []);
  const opened = await Promise.all(held.map((it) => sessions.open(it)));
  const living = opened.find((it) => it?.publicId === publicId);
  if (expected.isEnded) {
    assert.equal(living, undefined, "the session was ended, and lives");
    return;
  }
  assert.ok(living, "nobody has ended the session, and it is gone");
  if (expected.pops === 0) expected.keys.add("once");
  assert.deepEqual(new Set(living.keys()), expected.keys, "what was told to be stored");
  assert.equal(living.get("n"), expected.updates, "the number of updates that resolved");
  assert.ok(expected.pops <= 1, "two pops of one value");
}

/** Runs `count` orders, from a seeded place on. */
async function runOrders(store: Store, count: number, seed: number): Promise<void> {
  // Nothing here is meant to be an outage, however busy the machine is.
  const sessions = createSessions({ store, storeTimeout: 60_000 });
  // A step that shares no factor with the number of orders meets each of them once.
  const step = 30_011;
  for (let n = 0; n < count; n++) {
    const index = (seed + n * step) % RENEWAL_ORDERS;
    const order = orderAt(index);
    try {
      await run(sessions, order);
    } catch (cause) {
      throw new Error(`order ${index} (${JSON.stringify(order)}): ${String(cause)}`, { cause });
    }
  }
}

export const renewalOrders: readonly Case[] = [
  {
    name: "S19: a holder of a session never follows a renewal by another, in whichever order they act",
    excused: ["renewed", "revoke"],
    run: (at) => runOrders(at.store, at.orders, at.seed),
  },
];
