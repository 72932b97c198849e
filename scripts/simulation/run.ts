import { subscribe } from "node:diagnostics_channel";
import { flash } from "@lanai/flash";
import { createSessions, type IdGenerator } from "@lanai/session";
import Koa from "koa";
import { type Act, carryOut, currentAct, sightOf } from "./act.ts";
import { Link } from "./link.ts";
import { violationsOf } from "./oracle.ts";
import type { Plan, Visit } from "./plan.ts";
import { type Refusal, refusing } from "./refusals.ts";
import { type RequestInProgress, send } from "./requests.ts";
import type { Result } from "./shrink.ts";
import { watchedStore } from "./watched-store.ts";
import { type Decisions, settled, type Worker, World } from "./world.ts";

/** For how long a run goes on after its last visit, in milliseconds. */
const QUIET = 120_000;
const DIGITS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"];
const MOST_STEPS = 20_000;

for (const name of ["dropped", "gone"]) {
  subscribe(`lanai:session:${name}`, () => {
    const act = currentAct.getStore();
    if (act) act.isDropped = true;
  });
}

interface Jar {
  readonly cookies: Map<string, string>;
}

interface App {
  readonly worker: Worker;
  readonly link: Link;
  readonly callback: ReturnType<Koa["callback"]>;
}

const digitOf = (number: number) => DIGITS[Math.floor(number * DIGITS.length)];

/** Ids of the world's own random numbers, so that the same seed gives the same run. */
const seededIds = (world: World): IdGenerator => ({
  generate: () => Array.from({ length: 43 }, () => digitOf(world.random())).join(""),
  isValid: (id) => /^[\w-]{43}$/.test(id),
});

/** Plays one plan from its first event to the quiet after its last, and checks what it has shown. */
export async function run(plan: Plan, decisions?: Decisions): Promise<Result> {
  const world = new World(plan.seed, decisions);
  if (plan.faults.includes("slow")) world.mostDelay = Infinity;
  const { server: willing, live, late, creations } = watchedStore(world, plan.onCut);
  let refusal: Refusal | undefined;
  const server = refusing(willing, () => refusal);
  const acts: Act[] = [];
  const reported = new Map<string, number>();
  const errors = world.unhandled;

  const start = (name: string): App => {
    const worker: Worker = { name, state: "running" };
    const link = new Link(world, worker, plan.onCut);
    return world.in(worker, () => {
      const store = link.to(server, (call) => call !== "close");
      const sessions = createSessions({ store, storeTimeout: 2_000, generator: seededIds(world) });
      sessions.onEnd(({ publicId, reason }) => {
        if (reason === "destroyed") reported.set(publicId, (reported.get(publicId) ?? 0) + 1);
      });
      const app = new Koa();
      app.silent = true;
      app.on("error", (error) => {
        if (typeof error.status !== "number") errors.push(error);
      });
      app.use(sessions.middleware());
      app.use(flash());
      app.use(async (ctx) => {
        const act = currentAct.getStore() as Act;
        act.sights.push(sightOf(ctx));
        for (const [at, op] of act.visit.ops.entries()) {
          try {
            await carryOut(op, `${act.visit.id}.${at}`, { world, ctx, act, sessions });
          } catch (error) {
            act.hasFailed = true;
            if ((error as { status?: number }).status === undefined) throw error;
          }
          act.sights.push(sightOf(ctx));
        }
        ctx.body = "done";
        ctx.res.once("finish", () => {
          act.publicId = ctx.session.isNew ? undefined : ctx.session.publicId;
        });
      });
      return { worker, link, callback: app.callback() };
    });
  };

  const apps = Array.from({ length: plan.workers }, (_, at) => start(`worker ${at + 1}`));
  const jars = new Map<string, Jar>();
  const jarOf = (person: string): Jar => {
    const known = jars.get(person);
    if (known) return known;
    const victim = jars.get(person.replace("thief of ", ""));
    const jar = { cookies: new Map(victim?.cookies) };
    jars.set(person, jar);
    return jar;
  };

  const inProgress = new Set<RequestInProgress>();
  const begin = (visit: Visit): void => {
    const { worker, callback } = world.pick(apps.filter((it) => it.worker.state === "running"));
    const jar = jarOf(visit.person);
    const cookie = [...jar.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const act: Act = {
      ...{ visit, worker, began: world.log.length, ended: undefined, status: undefined },
      ...{
        setCookie: [],
        sights: [],
        logins: [],
        set: [],
        everSet: [],
        updated: [],
        left: [],
        popped: [],
      },
      ...{ destroyed: [], destroyedAll: [], hasFailed: false, isDropped: false },
      publicId: undefined,
    };
    acts.push(act);
    const request = currentAct.run(act, () =>
      world.in(worker, () => send((req, res) => void callback(req, res), `/${visit.id}`, cookie)),
    );
    inProgress.add(request);
    void request.answer.then(({ status, setCookie }) => {
      inProgress.delete(request);
      Object.assign(act, { status, setCookie, ended: world.log.length });
      if (plan.faults.includes("lose") && world.chance(0.2)) return;
      world.post(`${visit.person} has the response to ${visit.id}`, () => {
        for (const line of setCookie) {
          const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
          if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.cookies.delete(name);
          else jar.cookies.set(name, value);
        }
      });
    });
  };

  const fault = (): void => {
    const kind = world.pick(plan.faults);
    const app = world.pick(apps);
    const { worker, link } = app;
    if (kind === "cut") link.cut();
    if (kind === "locked" || kind === "full") {
      refusal = kind;
      world.log.push(`${world.sinceBegan} the database is ${kind}`);
      world.post("the database refuses nothing any more", () => {
        refusal = undefined;
      });
    }
    if (kind === "leave" && inProgress.size > 0) world.pick([...inProgress]).leave();
    if (kind === "freeze" && worker.state === "running") {
      worker.state = "frozen";
      world.note(`${worker.name} stands still`);
      const thaw = (): void => {
        // Meanwhile the server goes on: what was sent to it has an answer.
        if (world.expects("the server is")) {
          world.at(thaw, 1);
        } else {
          world.pass(5_000);
          if (worker.state === "frozen") worker.state = "running";
        }
      };
      thaw();
    }
    const others = apps.filter((it) => it !== app && it.worker.state === "running");
    if (kind === "crash" && worker.state === "running" && others.length > 0) {
      worker.state = "crashed";
      world.log.push(`${world.sinceBegan} ${worker.name} has crashed`);
      link.abandon();
    }
  };

  const waiting = [...plan.visits];
  let begun = 0;
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    await settled();
    const next = waiting[0];
    const canBegin =
      next !== undefined && next.after <= begun && apps.some((it) => it.worker.state === "running");
    if (canBegin && world.chance(world.isIdle ? 0.6 : 0.25)) {
      waiting.shift();
      begun += 1;
      world.log.push(`${world.sinceBegan} ${next.person} sends visit ${next.id}`);
      begin(next);
    }
    const mayFail = waiting.length > 0 || inProgress.size > 0;
    if (plan.faults.length > 0 && mayFail && world.chance(0.03)) fault();
    const happened = await world.step(world.now + 3_000);
    if (!happened && waiting.length === 0) break;
  }
  const end = world.now + QUIET;
  for (let steps = 0; steps < MOST_STEPS && world.now < end; steps++) {
    if (!(await world.step(end))) break;
  }

  const outcome = { plan, acts, live: live(), late, creations, reported, errors };
  return { violations: violationsOf(outcome), log: world.log };
}
