import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Clients, createClients, type Listener } from "@lanai/clients";
import { createSessions, memoryStore, type Sessions, type Store } from "@lanai/session";
import Koa from "koa";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { type Line, network } from "./net.ts";

/** Numbers from a seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

interface Node {
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly line: Line;
}

const app = new Koa();

/** The request of a browser's tab, without a network, and its end. */
function connection(cid: string, sid?: string) {
  const req = new IncomingMessage(new Socket());
  const cookie = sid === undefined ? `cid=${cid}` : `cid=${cid}; sid=${sid}`;
  Object.assign(req.headers, { cookie, upgrade: "websocket", host: "test" });
  req.url = "/";
  const res = new ServerResponse(req);
  return { ctx: app.createContext(req, res), leave: () => void res.emit("close") };
}

/** Attaches a tab in a process. */
async function attachTo({ sessions, clients }: Node, cid: string, sid?: string) {
  const { ctx, leave } = connection(cid, sid);
  let listener: Listener | undefined;
  await sessions.middleware()(ctx, async () => {
    listener = await clients.attach(ctx, { connect: () => ({ end() {} }) });
  });
  return { listener: listener as Listener, leave };
}

const nothing = { listeners: 0, present: 0, other: 0 };

interface Live {
  readonly node: Node;
  readonly listener: Listener;
  /** The id of its session. */
  readonly sid: string | undefined;
  readonly leave: () => void;
}

/** So many attaches, detaches and terminations; sign-ins and renewals come on top. */
const STEPS = 10_000;
const STEPS_WITH_CUTS = 2_500;
const USERS = 50;
const BROWSERS = 50;
const LIMIT = 60_000;

/** Each of them from either of two processes, in random order with random delays. */
async function storm(options: { readonly steps: number; readonly cuts: boolean }): Promise<void> {
  const { steps, cuts } = options;
  const seed = Number(process.env.LANAI_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const store = memoryStore();
  // Every call of the store takes some turns, before it happens and after.
  const slow = new Proxy(store, {
    get(target, name: keyof typeof store) {
      const method = target[name];
      if (typeof method !== "function") return method;
      return async (...args: never[]) => {
        await turns(below(4));
        const answer = await (method as (...args: never[]) => unknown).apply(target, args);
        await turns(below(4));
        return answer;
      };
    },
  }) as unknown as Store;
  const line = network();
  const nodes: Node[] = Array.from({ length: 2 }, () => {
    const pubsub = line();
    const publish = pubsub.publish;
    // Per process in order, between processes at different speeds.
    let last: Promise<unknown> = Promise.resolve();
    pubsub.publish = (subject, data, options) => {
      const wait = below(4);
      const done = last.then(() => turns(wait)).then(() => publish(subject, data, options));
      last = done.catch(() => {});
      return done;
    };
    const sessions = createSessions({ store: slow });
    // Nothing but what was told ends a listener: no look at the store comes to help.
    const clients = createClients({
      ...{ sessions, pubsub, leaveGrace: 0, presenceInterval: 1_000 },
      ...{ revalidateInterval: 600_000, busTimeout: LIMIT },
    });
    return { sessions, clients, line: pubsub };
  });
  const [near, far] = nodes as [Node, Node];
  const browsers = Array.from({ length: BROWSERS }, (_, n) => {
    const cid = `${n}`.padStart(43, "x");
    return { cid, id: near.clients.idOf(connection(cid).ctx) ?? "" };
  });

  interface SignedIn {
    id: string;
    readonly cid: string;
    readonly publicId: string;
    readonly user: string;
  }
  let alive: SignedIn[] = [];
  let live: Live[] = [];
  /** Who was there when they, or what they belong to, were ended. */
  const doomed = new Set<Live>();
  /** Whose line is cut misses what only the bus tells: what the store doesn't know. */
  const hears = ({ node }: Live) => !cuts || node === far;
  const counts = {
    ...{ attached: 0, refused: 0, left: 0, disconnected: 0 },
    ...{ sessions: 0, clients: 0, users: 0, destroyed: 0, renewed: 0, cuts: 0 },
  };
  const running = new Set<Promise<unknown>>();
  const run = (work: Promise<unknown>) => {
    running.add(work);
    void work.finally(() => running.delete(work));
  };

  const signIn = async () => {
    const user = `user-${below(USERS)}`;
    const { cid } = pick(browsers);
    const { session } = await pick(nodes).sessions.create({ userId: user });
    alive.push({ id: session.id ?? "", cid, publicId: session.publicId ?? "", user });
  };

  const renew = async () => {
    if (alive.length === 0) return;
    const it = pick(alive);
    const session = await pick(nodes).sessions.open(it.id);
    if (session === undefined) return;
    session.renewId();
    try {
      await session.commit();
    } catch (error) {
      // Ended, or renewed by another, meanwhile.
      expect(error).toMatchObject({ code: "ERR_SESSION_GONE" });
      return;
    }
    it.id = session.id ?? "";
    counts.renewed++;
  };

  const attach = async () => {
    const isStranger = alive.length === 0 || below(10) === 0;
    const { cid, id: sid } = isStranger ? { ...pick(browsers), id: undefined } : pick(alive);
    const node = pick(nodes);
    const { listener, leave } = await attachTo(node, cid, sid);
    if (listener.endReason) return void counts.refused++;
    counts.attached++;
    // One whose session had ended when it asked is a stranger's.
    live.push({ node, listener, sid: listener.session === undefined ? undefined : sid, leave });
  };

  const detach = async ({ leave }: Live) => {
    counts.left++;
    await turns(below(3));
    leave();
  };

  const doom = (isMeant: (listener: Listener) => boolean) => {
    for (const it of live) {
      if (isMeant(it.listener) && (it.sid !== undefined || hears(it))) doomed.add(it);
    }
  };

  const endSession = async ({ publicId, user }: SignedIn) => {
    alive = alive.filter((it) => it.publicId !== publicId);
    doom((it) => it.session === publicId);
    const { clients, sessions } = pick(nodes);
    if (below(2) === 0) {
      counts.destroyed++;
      await sessions.destroyByPublicId({ user }, publicId);
    } else {
      counts.sessions++;
      await clients.terminate({ session: publicId });
    }
  };

  const endUser = async (user: string) => {
    counts.users++;
    alive = alive.filter((it) => it.user !== user);
    doom((it) => it.user === user);
    await pick(nodes).clients.terminate({ user });
  };

  const endClient = async ({ cid, id: client }: (typeof browsers)[number]) => {
    counts.clients++;
    alive = alive.filter((it) => it.cid !== cid);
    doom((it) => it.client === client);
    await pick(nodes).clients.terminate({ client });
  };

  const disconnect = async (it: Live) => {
    counts.disconnected++;
    if (hears(it)) doomed.add(it);
    await pick(nodes).clients.disconnect({ listener: it.listener.id });
  };

  const terminate = (how: number, one: Live | undefined): Promise<void> | undefined => {
    if (how === 0) return endUser(`user-${below(USERS)}`);
    if (how === 1) return endClient(pick(browsers));
    if (how < 5) return one && disconnect(one);
    return alive.length > 0 ? endSession(pick(alive)) : undefined;
  };

  const cut = async () => {
    if (near.line.state !== "up") return;
    counts.cuts++;
    near.line.state = "cut";
    await turns(below(60));
    near.line.heal();
  };

  for (let step = 0; step < steps; ) {
    if (live.length > 0 && below(16) === 0) live = live.filter((it) => !it.listener.endReason);
    const it = live[below(live.length)];
    // What is to end for another reason is left to that: a detach would hide that it doesn't.
    const one = it?.listener.endReason || (it && doomed.has(it)) ? undefined : it;
    const dice = next();
    let work: Promise<void> | undefined;
    if (dice < 0.55) work = attach();
    else if (dice < 0.75) work = one && detach(one);
    else work = terminate(below(12), one);
    if (work !== undefined) {
      step++;
      run(work);
    }
    if (below(3) === 0) run(signIn());
    if (below(16) === 0) run(renew());
    if (cuts && below(50) === 0) run(cut());
    if (running.size > 40) await Promise.race(running);
    if (below(4) === 0) await turns(1);
    if (alive.length > 200) alive.splice(0, 100);
  }
  await Promise.all(running);

  const why = `seed ${seed}, ${JSON.stringify(counts)}`;
  const { attached, refused, left, disconnected, sessions, clients, users, destroyed } = counts;
  const ended = disconnected + sessions + clients + users + destroyed;
  expect(attached + refused + left + ended, why).toBe(steps);
  // Of 10,000.
  for (const [floor, ...of] of [
    [4_000, attached],
    [1_000, left],
    [1_500, ended],
    [100, users, clients],
    [200, disconnected, sessions, destroyed, counts.renewed],
    [cuts ? 40 : 0, counts.cuts],
  ] as const) {
    for (const count of of) expect(count, why).toBeGreaterThanOrEqual((floor * steps) / 10_000);
  }

  await until(async () => {
    // Nobody whose session is gone, or has another id, is still there.
    for (const { listener, sid } of live) {
      if (listener.endReason !== undefined || sid === undefined) continue;
      const session = await near.sessions.open(sid);
      expect(session?.publicId, why).toBe(listener.session);
    }
    // Nor anybody who was ended, or belongs to what was.
    const still = [...doomed].filter(({ listener }) => listener.endReason === undefined);
    expect(
      still.map(({ listener }) => listener.id),
      why,
    ).toEqual([]);
  });

  // And when all have left, nothing is kept.
  for (const { leave } of live) leave();
  await until(() => {
    for (const it of nodes) expect(it.clients.size, why).toEqual(nothing);
  });
  for (const it of nodes) await it.clients.close();
}

test(
  `C1: of ${STEPS} random attaches, detaches and terminations none leaves a listener or a trace`,
  () => storm({ steps: STEPS, cuts: false }),
  LIMIT,
);

test(
  `C3: nor do ${STEPS_WITH_CUTS} while the line of one process is cut and healed again and again`,
  () => storm({ steps: STEPS_WITH_CUTS, cuts: true }),
  LIMIT,
);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("10,000 listeners come and go, and leave nothing: no entry, and less than 500 kB", async () => {
  const sessions = createSessions({ store: memoryStore() });
  const line = network()();
  const clients = createClients({ sessions, pubsub: line, leaveGrace: 0 });
  const node: Node = { sessions, clients, line };
  // Of 100 browsers, half of them signed in.
  const browsers = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const { session } = await sessions.create({ userId: `user-${n}` });
      return { cid: `${n}`.padStart(43, "x"), sid: n % 2 === 0 ? session.id : undefined };
    }),
  );
  const come = async (count: number) => {
    for (let i = 0; i < count; i += browsers.length) {
      const tabs = await Promise.all(browsers.map(({ cid, sid }) => attachTo(node, cid, sid)));
      expect(clients.size.listeners).toBe(browsers.length);
      for (const { leave } of tabs) leave();
    }
    await until(() => expect(clients.size).toEqual(nothing));
    await turns(10);
    collect();
    return process.memoryUsage().heapUsed;
  };
  // What is made once, such as code, is there after some.
  const before = await come(2_000);
  const { subscriptions } = line;
  const after = await come(10_000);
  expect(line.subscriptions).toBe(subscriptions);
  expect(after - before).toBeLessThan(500_000);
  await clients.close();
});
