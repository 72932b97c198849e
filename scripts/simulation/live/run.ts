import type { Duplex } from "node:stream";
import { connect } from "@lanai/browser";
import { memoryStore } from "@lanai/session";
import { Link } from "../link.ts";
import type { Result } from "../shrink.ts";
import { type Decisions, settled, type Worker, World } from "../world.ts";
import type { App, Live } from "./app.ts";
import { Broker } from "./broker.ts";
import { Browser, hostOf, type Page, send } from "./browser.ts";
import type { LinkedBus } from "./bus.ts";
import { Ledger, type Seen } from "./ledger.ts";
import { type Connection, connectionBetween } from "./net.ts";
import { wrongAtRest } from "./oracle.ts";
import type { Deed, Plan, Step } from "./plan.ts";
import { programOf } from "./slots.ts";

const ROOM = "room.:id" as const;
const PARAMS = { id: "general" };
const SUBJECT = "channels.room.general";
const KEYS = ["a key of the clients that is long enough"];
const MOST_STEPS = 60_000;
/** For how long a run goes on after its last step, in milliseconds. */
const QUIET = 150_000;
/** The longest that a worker stands still, or a connection is dead for one side only. */
const MOST_STANDSTILL = 30_000;

/** A process of the app, with its connections. */
interface Process {
  readonly worker: Worker;
  readonly app: App;
  readonly bus: LinkedBus;
  readonly store: Link;
}

/** Plays one plan from its first event to the quiet after its last, and checks what it has shown. */
export async function run(plan: Plan, decisions?: Decisions): Promise<Result> {
  const world = new World(plan.seed, decisions);
  if (plan.faults.includes("slow")) world.mostDelay = Infinity;
  const simulation = new Simulation(world, plan);
  await simulation.play();
  await world.drain();
  return { violations: simulation.ledger.violations, log: world.log };
}

/** A page, from before it is opened. */
interface PageProcess {
  readonly worker: Worker;
  connections: Connection[];
  /** How many connections it has begun. */
  connected: number;
}

class Simulation {
  readonly ledger: Ledger;
  readonly #world: World;
  readonly #plan: Plan;
  readonly #broker: Broker;
  readonly #store;
  readonly #processes: Process[] = [];
  #started = 0;
  /** No step begins before. */
  #idleUntil = 0;
  readonly #browsers = new Map<string, Browser>();
  readonly #seen = new Map<number, Seen>();
  readonly #pages: PageProcess[];

  constructor(world: World, plan: Plan) {
    this.#world = world;
    this.#plan = plan;
    this.ledger = new Ledger(plan);
    this.#broker = new Broker(world);
    this.#store = memoryStore({ clock: () => world.now });
    // Its sweeper is no event: what has expired is gone whether it was swept or not.
    this.#store.close();
    this.#pages = plan.pages.map(({ person }, at) => ({
      worker: { name: `page ${at + 1} of ${person}`, state: "running" },
      ...{ connections: [], connected: 0 },
    }));
  }

  async play(): Promise<void> {
    const world = this.#world;
    const { retained, workers, steps, setUp = 0, faults } = this.#plan;
    if (retained !== "none") {
      const maxMsgs = retained === "all" ? 100_000 : 3;
      await this.#broker.ensureStream({ name: "channels", subjects: ["channels.>"], maxMsgs });
    }
    this.#broker.watch(SUBJECT, ({ data }) => {
      this.ledger.stored.push(JSON.parse(String(data)).d.text);
    });
    for (let at = 0; at < workers; at++) await this.#start();

    const waiting = [...steps];
    let begun = 0;
    const live = setUp > 0 ? world.calm() : undefined;
    for (let count = 0; count < MOST_STEPS && waiting.length > 0; count++) {
      await settled();
      const next = waiting[0];
      if (next !== undefined && next.after <= begun && this.#isTimeFor(next)) {
        waiting.shift();
        if (begun === setUp) live?.();
        begun += 1;
        world.note(`step ${next.id}: ${JSON.stringify(next.deed)}`);
        this.#begin(next.id, next.deed);
      }
      if (faults.length > 0 && world.chance(0.01)) this.#fault();
      await world.step(world.now + 3_000);
      this.#check();
    }
    world.note("from here on nothing breaks");
    if (setUp > 0) world.calm();
    await this.#comeToRest();
    for (const error of world.unhandled) this.ledger.violated("C3", `nobody handles: ${error}`);
  }

  /** Lets time pass until everything is as it has to be, or that takes too long. */
  async #comeToRest(): Promise<void> {
    const world = this.#world;
    const { violations } = this.ledger;
    const end = world.now + QUIET;
    let next = world.now + world.time(QUIET * 0.5);
    let wrong: string[] = [];
    for (let count = 0; count < MOST_STEPS && world.now < end; count++) {
      if (!(await world.step(end))) break;
      this.#check();
      if (violations.length > 0) return;
      if (world.now < next) continue;
      next = world.now + 5_000;
      wrong = wrongAtRest(this.ledger, this.#running, [...this.#seen.values()]);
      if (wrong.length === 0) return;
    }
    violations.push(...wrong);
  }

  /** What a page does has to wait for the page, but not for ever. */
  #isTimeFor({ deed, isPrompt = false }: Step): boolean {
    const { isIdle } = this.#world;
    if (this.#world.now < this.#idleUntil) return false;
    const isFree = !("page" in deed) || deed.do === "open";
    const { page, joinedAt } = (!isFree && this.#seen.get(deed.page)) || {};
    const isThere =
      deed.do === "lose page"
        ? page?.line.state === "open" && page.room.state === (deed.when ?? "joined")
        : isFree || joinedAt !== undefined || page?.room.state === "left";
    if (!isThere) return isIdle && this.#world.chance(0.05);
    return this.#world.chance(isIdle || isPrompt ? 0.6 : 0.03);
  }

  /** After each event. */
  #check(): void {}

  // ── processes ──

  get #running(): Process[] {
    return this.#processes.filter((it) => it.worker.state !== "crashed");
  }

  async #start(): Promise<void> {
    const world = this.#world;
    const { ledger } = this;
    this.#started += 1;
    const name = `worker ${this.#started}`;
    const { linkedBus, startApp } = await programOf(this.#started);
    const worker: Worker = { name, state: "running" };
    const store = new Link(world, worker, this.#plan.bus.onCut);
    world.in(worker, () => {
      const bus = linkedBus(world, worker, this.#broker, this.#plan.bus);
      const linked = store.to(this.#store, (call) => call !== "close");
      const app = startApp(linked, bus, this.#plan.keys ? KEYS : undefined, {
        mayJoin: (user) => user !== undefined && !ledger.denied.has(user),
        handled: (text, listener) => ledger.handledCall(name, text, listener),
        attached: (listener, socket) => {
          ledger.attached.push({ app: name, listener, page: this.#pageOf(socket) });
        },
        empty: ({ user, client = "", id }) => ledger.emptied(user ?? client, id),
        failed: (error) => {
          const isOfPage = (error as { code?: unknown }).code === "ECONNRESET";
          if (ledger.isCalm && !isOfPage) ledger.violated("C3", `the app has failed: ${error}`);
        },
      });
      app.sessions.onEnd(({ publicId, reason }) => {
        if (reason === "destroyed") ledger.sessionEnded(name, publicId, world.now);
      });
      this.#processes.push({ worker, app, bus, store });
    });
  }

  #crash({ worker, bus, store }: Process): void {
    const world = this.#world;
    worker.state = "crashed";
    world.note(`${worker.name} has crashed`);
    bus.cut("all", false, 0);
    store.abandon();
    for (const { connections } of this.#pages) {
      for (const { wire, to } of connections) if (to === worker) wire.cut();
    }
    world.at(() => void this.#start(), world.time(20_000));
  }

  #sleep(worker: Worker): void {
    if (worker.state !== "running") return;
    // What it has handed to a connection is on its way.
    this.#world.turn(worker);
    worker.state = "frozen";
    this.#world.note(`${worker.name} stands still`);
    const wake = () => {
      if (worker.state === "frozen") worker.state = "running";
    };
    this.#world.at(wake, this.#world.time(MOST_STANDSTILL));
  }

  #fault(): void {
    const world = this.#world;
    const kind = world.pick(this.#plan.faults);
    const running = this.#running;
    if (running.length === 0) return;
    const process = world.pick(running);
    const ms = world.time(MOST_STANDSTILL);
    if (kind === "cut page") {
      const open = this.#pages.flatMap((it) => it.connections).filter((it) => it.wire.isWhole);
      if (open.length > 0) this.#cut(world.pick(open));
    }
    if (kind === "cut bus") process.bus.cut("one", world.pick([false, true]), ms);
    if (kind === "cut store") process.store.cut();
    if (kind === "freeze") this.#sleep(process.worker);
    if (kind === "crash") this.#crash(process);
  }

  #cut({ wire }: Connection): void {
    const unaware = this.#world.pickUsual([[], [0], [1], [0, 1]] as const);
    wire.cut(unaware);
  }

  // ── pages ──

  /** Connects a page to one of the processes; if there is none, the connection is refused. */
  #connect(at: number): Duplex {
    const world = this.#world;
    const page = this.#pages[at] as PageProcess;
    // Usually one after the other, each page beginning with another one.
    const turn = at + page.connected;
    page.connected += 1;
    const turnOf = (it: Process): number =>
      (this.#processes.indexOf(it) + turn) % this.#processes.length;
    const running = this.#running.toSorted((a, b) => turnOf(a) - turnOf(b));
    const process = running.length > 0 ? world.pickUsual(running) : undefined;
    const nobody: Worker = { name: "nobody", state: "running" };
    const connection = connectionBetween(world, page.worker, process?.worker ?? nobody);
    page.connections = [...page.connections.filter((it) => it.wire.isWhole), connection];
    if (process) {
      world.post(
        `${process.worker.name} accepts ${page.worker.name}`,
        () => void process.app.server.emit("connection", connection.far),
        { worker: process.worker },
      );
    } else {
      connection.wire.cut();
    }
    return connection.near;
  }

  #pageOf(socket: unknown): string {
    const isOf = ({ connections }: PageProcess) => connections.some(({ far }) => far === socket);
    return this.#pages.find(isOf)?.worker.name ?? "";
  }

  #browserOf(person: string): Browser {
    const known = this.#browsers.get(person) ?? new Browser(person);
    this.#browsers.set(person, known);
    return known;
  }

  #begin(id: number, deed: Deed): void {
    const { do: what } = deed;
    if (what === "publish") {
      this.#atSomeWorker(({ app }) =>
        app.channels.publish(ROOM, PARAMS, "said", { text: `message ${id}` }),
      );
    } else if (what === "lose page") {
      const open = this.#pages[deed.page]?.connections.filter((it) => it.wire.isWhole) ?? [];
      for (const { wire } of open) wire.cut(deed.isUnnoticed ? [0, 1] : []);
    } else if (what === "lose bus") {
      this.#processes[deed.worker]?.bus.cut(deed.which, true, deed.ms);
    } else if (what === "stall") {
      this.#processes[deed.worker]?.bus.stall(MOST_STANDSTILL);
    } else if (what === "wait") {
      this.#idleUntil = this.#world.now + deed.ms;
    } else if ("person" in deed) {
      this.#beginOf(id, deed);
    } else {
      const page = this.#pages[deed.page];
      if (page?.worker.state !== "running") return;
      this.#world.in(page.worker, () => this.#beginAt(id, deed.page, what));
    }
  }

  #atSomeWorker(act: (process: Process) => Promise<unknown>): void {
    const running = this.#running.filter((it) => it.worker.state === "running");
    if (running.length === 0) return;
    const process = this.#world.pickUsual(running);
    this.#world.in(process.worker, () => void act(process).catch(() => {}));
  }

  #beginOf(id: number, { do: what, person }: Extract<Deed, { person: string }>): void {
    const { ledger } = this;
    if (what === "send") {
      this.#atSomeWorker(({ app }) =>
        app.clients.send({ user: person }, "note", { to: person, text: `note ${id}` }),
      );
    } else if (what === "end all") {
      ledger.ended.add(person);
      this.#atSomeWorker(async ({ app, worker }) => {
        await app.sessions.destroyAll({ user: person });
        ledger.endResolved(worker.name);
      });
    } else {
      const isLiving = (name: string) => this.#running.some(({ worker }) => worker.name === name);
      const resolved = ledger.removing(person, isLiving);
      this.#atSomeWorker(async ({ app }) => {
        await app.channels.remove({ user: person }, ROOM, PARAMS);
        resolved();
      });
    }
  }

  #beginAt(id: number, at: number, what: Deed["do"]): void {
    const { person, replay } = this.#plan.pages[at] as Plan["pages"][number];
    const seen = this.#seen.get(at);
    const { ledger } = this;
    if (what === "open" && !seen) void this.#open(at, person, replay);
    if (what === "sign in again") void this.#visit(at, person, `/sign-in?user=${person}`);
    if (what === "sign out") {
      ledger.ended.add(person);
      void this.#visit(at, person, "/sign-out");
    }
    if (what === "sleep") this.#sleep(this.#pages[at]?.worker as Worker);
    if (!seen) return;
    const { room, line, worker } = seen.page;
    if (what === "call") {
      const called = { text: `call ${id}`, outcome: undefined };
      seen.calls.push(called);
      room.call("say", { text: called.text }, { timeout: 20_000 }).then(
        (result) => ledger.settledCall(called, "", result),
        (error: { code: string }) => ledger.settledCall(called, error.code),
      );
    }
    if (what === "type") {
      const text = `typing ${id}`;
      ledger.typed.add(text);
      this.#atSomeWorker(({ app }) => app.channels.publish(ROOM, PARAMS, "typing", { text }));
    }
    if (what === "leave") {
      seen.hasLeft = true;
      room.leave();
    }
    if (what === "close") {
      seen.hasClosed = true;
      line.close();
    }
    if (what === "vanish") {
      worker.state = "crashed";
      for (const it of this.#pages[at]?.connections ?? []) this.#cut(it);
    }
  }

  async #visit(at: number, person: string, path: string): Promise<boolean> {
    const visit = `${person} at ${path} since ${this.#world.now}`;
    this.ledger.unanswered.add(visit);
    try {
      const response = await send(this.#browserOf(person), path, "GET", () => this.#connect(at));
      if (response.status !== 200) return false;
      this.ledger.unanswered.delete(visit);
      return true;
    } catch {
      // As a browser shows that there is no connection.
      return false;
    }
  }

  async #open(at: number, person: string, replay: number): Promise<void> {
    const world = this.#world;
    const { worker } = this.#pages[at] as PageProcess;
    while (!(await this.#visit(at, person, `/sign-in?user=${person}`))) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    const browser = this.#browserOf(person);
    const host = hostOf(world, browser, () => this.#connect(at));
    const line = connect<Live>("/live", { host });
    const room = line.join(ROOM, PARAMS, { replay });
    const page: Page = { name: worker.name, browser, worker, line, room };
    const seen: Seen = {
      ...{ page, replay, joinedAt: undefined, last: undefined, hasGap: false },
      ...{ shown: new Set(), calls: [], connections: 0, hasClosed: false, hasLeft: false },
    };
    this.#seen.set(at, seen);
    const { ledger } = this;
    const show = (text: string) => world.note(`${worker.name} shows ${text}`);
    room.joined.catch(() => {});
    room.on("joined", () => {
      show("that it has joined");
      ledger.joined(seen);
    });
    room.on("gap", ({ reason }) => {
      show(`a gap: ${reason}`);
      ledger.gap(seen, reason);
    });
    room.on("left", ({ code }) => show(`that it has left: ${code}`));
    room.on("said", ({ text }) => {
      show(text);
      ledger.said(seen, text);
    });
    room.on("typing", ({ text }) => {
      show(text);
      ledger.sawTyping(seen, text);
    });
    room.on("members", (members) => show(members.map(({ data }) => data.name).join(", ")));
    line.on("message", ({ data }) => ledger.received(seen, data as { to: string; text: string }));
    line.on("state", (state) => {
      if (state === "open") seen.connections += 1;
      show(state);
    });
  }
}
