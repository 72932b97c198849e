import { connect, type Host, type Line } from "@lanai/browser";
import WebSocket from "ws";
import type { Random } from "../testing/chance.ts";
import type { Soak } from "./app.ts";
import type { Said } from "./room.ts";

/** How long a request may take before its person gives up, in milliseconds. */
const PATIENCE = 20_000;

export interface PersonOptions {
  readonly name: string;
  readonly room: string;
  readonly url: () => string;
  readonly random: Random;
  /** Reports a law that doesn't hold. */
  readonly violated: (what: string) => void;
  readonly counts: Counts;
}

/** What the soak has done, for its report. */
export interface Counts {
  acknowledged: number;
  failed: number;
  unknown: number;
  said: number;
  shown: number;
  gaps: number;
}

/** A live tab, from its join on: what it has shown, in order. */
export interface Tab {
  readonly line: Line<Soak>;
  readonly shown: (Said | "gap")[];
  /** Whether it is out of the room. A tab that was signed out may reconnect as a visitor. */
  readonly hasEnded: () => boolean;
}

/** What a person was told about the session, and what may be besides. */
interface Belief {
  /** Nothing was asked for whose outcome is unknown, and that could have ended or renewed the session. */
  isCertain: boolean;
  log: string[];
  readonly keys: Set<string>;
  readonly waiting: Set<string>;
  /** What may have been done, and may still be done once. */
  readonly maybe: Set<string>;
}

const unknownBelief = (): Belief => ({
  ...{ isCertain: true, log: [], keys: new Set(), waiting: new Set(), maybe: new Set() },
});

type Answer = { readonly status: number; readonly body: unknown };

/**
 * Somebody with a browser: a cookie jar, a live tab, and a memory of everything that was acknowledged. One
 * request at a time, so that each answer can be compared with that memory.
 */
export class Person {
  readonly name: string;
  readonly room: string;
  /** The numbers of what was said and acknowledged, in order. */
  readonly said: number[] = [];
  tab: Tab | undefined;
  /** The tabs of sessions that were ended: they must end. */
  readonly formerTabs: Tab[] = [];
  readonly #options: PersonOptions;
  /** A new one for each session: the tabs of a session that was ended don't get into the next. */
  #jar = new Map<string, string>();
  /** Cookies of sessions that were ended: they must open nothing. */
  readonly #dead: string[] = [];
  readonly #shown = new Set<string>();
  /** The last requests, each with its time and what came of it: they stand in the report of a violation. */
  readonly #trail: string[] = [];
  /** The user as whom this person signs in. */
  #user: string;
  #belief: Belief | undefined;
  #count = 0;

  constructor(options: PersonOptions) {
    this.name = options.name;
    this.room = options.room;
    this.#user = options.name;
    this.#options = options;
  }

  /** Does one thing, and checks what comes of it. */
  async act(): Promise<void> {
    if (!this.#belief) return this.#signIn();
    // A session about which nothing is known any more is left: its successor is known again.
    if (!this.#belief.isCertain) return this.#leaveSession("/sign-out");
    const kinds = [
      ...[this.#update, this.#update, this.#set, this.#look, this.#look, this.#leaveMessage],
      ...[this.#pop, this.say, this.say, this.say],
    ];
    const n = this.#options.random(100);
    if (n < 4) return this.#leaveSession("/sign-out");
    if (n < 6) return this.#leaveSession("/sign-out-everywhere");
    if (n < 10) return this.#renew();
    if (n < 14) return this.#tryDeadCookie();
    await kinds[n % kinds.length]?.call(this);
  }

  /** Signs in and opens a tab, if that isn't so. */
  async settle(): Promise<void> {
    while (!this.#belief?.isCertain) await this.act();
    await this.#look();
    if (this.tab?.hasEnded()) this.#violated("B3: a tab of a live session is out of its room");
  }

  /** Resolves when the tab is in its room. */
  async joined(): Promise<void> {
    await this.tab?.line.join("room.:id", { id: this.room }).joined;
  }

  async say(): Promise<void> {
    const { tab } = this;
    if (!tab) return;
    const n = ++this.#count;
    const room = tab.line.join("room.:id", { id: this.room });
    try {
      await room.call("say", { by: this.name, n }, { timeout: PATIENCE });
      this.said.push(n);
      this.#options.counts.said += 1;
    } catch {
      this.#options.counts.unknown += 1;
    }
  }

  async #signIn(): Promise<void> {
    const { answer } = await this.#ask("/sign-in", this.#user);
    if (answer?.status !== 200) return;
    this.#belief = unknownBelief();
    this.tab = this.#openTab();
  }

  async #leaveSession(path: string): Promise<void> {
    const cookie = this.#cookie();
    const { answer } = await this.#ask(path, this.#user);
    if (answer?.status !== 200) {
      // It may still end all sessions of this user, at any time: also those that begin meanwhile.
      if (path === "/sign-out-everywhere") this.#user = this.#next("user");
      return this.#doubt();
    }
    // Whoever was signed in by an unknown cookie may be so still: it is out of the jar now.
    if (this.#belief?.isCertain) {
      this.#dead.push(cookie);
      if (this.tab) this.formerTabs.push(this.tab);
    } else this.tab?.line.close();
    this.#belief = undefined;
    this.tab = undefined;
    this.#jar = new Map();
  }

  async #renew(): Promise<void> {
    const { answer } = await this.#ask("/renew");
    if (answer?.status !== 200) this.#doubt();
  }

  async #set(): Promise<void> {
    const key = this.#next("key");
    const { answer } = await this.#ask("/set", key);
    if (answer?.status === 200) this.#belief?.keys.add(key);
  }

  async #update(): Promise<void> {
    const text = this.#next("update");
    const { answer } = await this.#ask("/update", text);
    if (answer?.status === 200) this.#belief?.log.push(text);
    else this.#belief?.maybe.add(text);
  }

  async #leaveMessage(): Promise<void> {
    const message = this.#next("message");
    const { answer } = await this.#ask("/leave", message);
    if (answer?.status === 200) this.#belief?.waiting.add(message);
    else this.#belief?.maybe.add(message);
  }

  async #pop(): Promise<void> {
    const { answer } = await this.#ask("/pop");
    const belief = this.#belief;
    if (!belief) return;
    const { waiting, maybe } = belief;
    if (answer?.status === 200) {
      const messages = answer.body as string[];
      for (const message of messages) {
        if (this.#shown.has(message)) this.#violated(`F1: "${message}" was shown twice`);
        else if (!waiting.has(message) && !maybe.has(message)) {
          this.#violated(`F1: "${message}" was never left in this session`);
        }
        this.#shown.add(message);
        waiting.delete(message);
      }
      for (const message of waiting) this.#violated(`F1: "${message}" was lost`);
    }
    // It may still take what is left later: this session is one of which nothing is known any more.
    else this.#doubt();
    waiting.clear();
  }

  async #look(): Promise<void> {
    const { answer } = await this.#ask("/look");
    const belief = this.#belief;
    if (answer?.status !== 200 || !belief) return;
    const { user, log = [], ...keys } = answer.body as { user?: string; log?: string[] };
    if (user !== this.#user) {
      if (belief.isCertain) this.#violated(`S7: is signed in, and was seen as ${user}`);
      return this.#doubt();
    }
    if (new Set(log).size !== log.length) this.#violated(`S17: an update counts twice: ${log}`);
    const known = log.filter((text) => !belief.maybe.has(text));
    if (known.join() !== belief.log.filter((text) => !belief.maybe.has(text)).join()) {
      this.#violated(`S5: the updates ${belief.log} were acknowledged, and there are ${log}`);
    }
    for (const key of belief.keys) if (!(key in keys)) this.#violated(`S5: "${key}" was lost`);
  }

  async #tryDeadCookie(): Promise<void> {
    const cookie = this.#dead[this.#options.random(this.#dead.length)];
    if (cookie === undefined) return;
    const { answer } = await this.#ask("/look", "", cookie);
    if (answer?.status !== 200) return;
    const { user } = answer.body as { user?: string };
    if (user !== undefined) this.#violated(`S6: a session that was ended opens again, for ${user}`);
  }

  #doubt(): void {
    if (this.#belief) this.#belief.isCertain = false;
  }

  #next(what: string): string {
    this.#count += 1;
    return `${what}-${this.name}-${this.#count}`;
  }

  #violated(what: string): void {
    this.#options.violated(`${this.name}: ${what}; after ${this.#trail.join(", ")}`);
  }

  #remember(path: string, outcome: number | "no answer"): void {
    this.#trail.push(`${new Date().toISOString().slice(11, 23)} ${path} ${outcome}`);
    if (this.#trail.length > 12) this.#trail.shift();
  }

  #cookie(jar = this.#jar): string {
    return [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Sends a request, and keeps the cookies of its response. No answer: nobody knows what came of it. */
  async #ask(path: string, text = "", cookie?: string): Promise<{ answer: Answer | undefined }> {
    const { counts, url } = this.#options;
    const jar = this.#jar;
    try {
      const response = await fetch(`${url()}${path}?text=${encodeURIComponent(text)}`, {
        method: "POST",
        headers: { cookie: cookie ?? this.#cookie() },
        signal: AbortSignal.timeout(PATIENCE),
      });
      const body: unknown = response.status === 200 ? await response.json() : await response.text();
      const { status } = response;
      this.#remember(path, status);
      if (cookie === undefined) keep(jar, response.headers.getSetCookie());
      if (status === 200) counts.acknowledged += 1;
      else counts.failed += 1;
      if (status !== 200 && status !== 503) {
        const isRefused = !this.#belief?.isCertain && status < 500;
        if (!isRefused) this.#violated(`S10: ${path} was answered by ${status}: ${body}`);
      }
      return { answer: { status, body } };
    } catch {
      counts.unknown += 1;
      this.#remember(path, "no answer");
      return { answer: undefined };
    }
  }

  #openTab(): Tab {
    const { url, counts } = this.#options;
    const jar = this.#jar;
    const cookie = () => this.#cookie(jar);
    class Socket extends WebSocket {
      constructor(address: string, protocols: string[]) {
        super(address, protocols, { headers: { cookie: cookie() }, origin: url() });
        this.on("upgrade", ({ headers }) => keep(jar, headers["set-cookie"] ?? []));
      }
    }
    const host = {
      ...{ URL, TextDecoder, AbortController, crypto, performance, Date },
      console: { error() {} },
      ...{ setTimeout, clearTimeout },
      WebSocket: Socket,
      fetch: (address: string, options: object) =>
        fetch(address, { ...options, headers: { cookie: cookie() } }),
    } as unknown as Host;
    const line = connect<Soak>(`${url()}/live`, { host });
    const room = line.join("room.:id", { id: this.room });
    const tab: Tab = { line, shown: [], hasEnded: () => room.state === "left" };
    room.joined.catch(() => {});
    room.on("said", (said) => {
      counts.shown += 1;
      tab.shown.push(said);
    });
    room.on("gap", () => {
      counts.gaps += 1;
      tab.shown.push("gap");
    });
    return tab;
  }
}

function keep(jar: Map<string, string>, lines: readonly string[]): void {
  for (const line of lines) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/max-age=0/i.test(line)) jar.delete(name);
    else jar.set(name, value);
  }
}
