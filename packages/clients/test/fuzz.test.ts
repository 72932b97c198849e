import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { type Clients, createClients, type Listener } from "@lanai/clients";
import { createSessions, memoryStore, type Sessions } from "@lanai/session";
import Koa from "koa";
import { expect, test, vi } from "vitest";
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

/** The request of a signed-in tab, without a network, and its end. */
function connection(id: string) {
  const req = new IncomingMessage(new Socket());
  Object.assign(req.headers, { cookie: `sid=${id}`, upgrade: "websocket", host: "test" });
  req.url = "/";
  const res = new ServerResponse(req);
  return { ctx: app.createContext(req, res), leave: () => res.emit("close") };
}

const STEPS = 10_000;

test(`C1: of ${STEPS} random attaches, detaches and terminations none leaves a listener or a trace`, async () => {
  const seed = Number(process.env.LANAI_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
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
  });
  const line = network();
  const nodes: Node[] = Array.from({ length: 2 }, () => {
    const pubsub = line();
    const publish = pubsub.publish;
    // Per process in order, between processes at different speeds.
    let last: Promise<unknown> = Promise.resolve();
    pubsub.publish = (subject, data) => {
      const wait = below(4);
      const done = last.then(() => turns(wait)).then(() => publish(subject, data));
      last = done.catch(() => {});
      return done;
    };
    const sessions = createSessions({ store: slow });
    // Nothing but what was told ends a listener: no look at the store comes to help.
    const clients = createClients({
      ...{ sessions, pubsub, leaveGrace: 0, presenceInterval: 1_000 },
      ...{ revalidateInterval: 600_000, busTimeout: 60_000 },
    });
    return { sessions, clients, line: pubsub };
  });
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;

  interface Live {
    readonly listener: Listener;
    readonly publicId: string;
    readonly leave: () => void;
  }
  const alive: { id: string; publicId: string; user: string }[] = [];
  const live = new Set<Live>();
  const counts = { attached: 0, refused: 0, left: 0, terminated: 0 };
  const running = new Set<Promise<unknown>>();
  const run = (work: Promise<unknown>) => {
    running.add(work);
    void work.finally(() => running.delete(work));
  };

  const signIn = async () => {
    const user = `user-${below(5)}`;
    const { session } = await pick(nodes).sessions.create({ userId: user });
    alive.push({ id: session.id ?? "", publicId: session.publicId ?? "", user });
  };

  const attach = async () => {
    const { sessions, clients } = pick(nodes);
    const session = alive.length > 0 ? pick(alive) : undefined;
    if (session === undefined) return;
    const { ctx, leave } = connection(session.id);
    const listener = await new Promise<Listener>((resolve, reject) => {
      const attached = sessions.middleware()(ctx, async () => {
        resolve(await clients.attach(ctx, { anonymous: true, connect: () => ({ end() {} }) }));
      });
      attached.catch(reject);
    });
    if (listener.endReason) return void counts.refused++;
    // One that had no session any more when it asked is a stranger's.
    if (listener.session === undefined) {
      leave();
      return void counts.refused++;
    }
    counts.attached++;
    live.add({ listener, publicId: session.publicId, leave });
  };

  const detach = async () => {
    const [one] = live;
    if (one === undefined) return;
    live.delete(one);
    await turns(below(3));
    one.leave();
    counts.left++;
  };

  const terminate = async () => {
    if (alive.length === 0) return;
    const at = below(alive.length);
    const { publicId, user } = alive[at] as (typeof alive)[number];
    const { clients, sessions } = pick(nodes);
    counts.terminated++;
    const how = below(3);
    if (how === 0) await sessions.destroyByPublicId({ user }, publicId);
    else if (how === 1) await clients.terminate({ session: publicId });
    else await clients.terminate({ user });
  };

  for (let step = 0; step < STEPS; step++) {
    const dice = next();
    if (dice < 0.3) run(signIn());
    else if (dice < 0.75) run(attach());
    else if (dice < 0.9) run(detach());
    else run(terminate());
    if (running.size > 40) await Promise.race(running);
    if (below(4) === 0) await turns(1);
    if (alive.length > 200) alive.splice(0, 100);
  }
  await Promise.all(running);
  await turns(100);

  const why = `seed ${seed}, ${JSON.stringify(counts)}`;
  // Nobody whose session is gone is still there.
  const living = new Set<string>();
  for (let u = 0; u < 5; u++) {
    for (const { publicId } of store.list(`user:user-${u}`)) living.add(publicId);
  }
  const leaked = [...live].filter(
    ({ listener, publicId }) => listener.endReason === undefined && !living.has(publicId),
  );
  expect(
    leaked.map((it) => it.publicId),
    why,
  ).toEqual([]);
  expect(counts.attached, why).toBeGreaterThan(500);
  expect(counts.terminated, why).toBeGreaterThan(500);

  // And when all have left, nothing is kept.
  for (const { leave } of live) leave();
  await vi.waitFor(
    () => {
      for (const { clients } of nodes) {
        expect(clients.size, why).toEqual({ listeners: 0, present: 0, other: 0 });
      }
    },
    { timeout: 10_000 },
  );
  for (const { clients } of nodes) await clients.close();
}, 60_000);
