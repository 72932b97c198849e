import type { Listener } from "@lanai/clients";
import type { Page } from "./browser.ts";
import type { Plan } from "./plan.ts";

/** What one page has shown, and what it was told of its calls. */
export interface Seen {
  readonly page: Page;
  /** How many of the last messages it asks for when it joins first. */
  readonly replay: number;
  /** The number of messages of the room that it need not show: those of before it joined first. */
  joinedAt: number | undefined;
  /** The number, in the order of the bus, of the message that was shown last. */
  last: number | undefined;
  /** Whether a gap was reported since then. */
  hasGap: boolean;
  readonly shown: Set<string>;
  readonly calls: Called[];
  /** How many connections it has had. */
  connections: number;
  /** It has closed its line, or left the room, by itself. */
  hasClosed: boolean;
  hasLeft: boolean;
}

interface Called {
  readonly text: string;
  /** `""` if it resolved, else the code of its error; `undefined` while neither has happened. */
  outcome: string | undefined;
}

/** A listener in a process. */
export interface Attached {
  readonly app: string;
  readonly listener: Listener;
  /** The name of its page. */
  readonly page: string;
}

/** Deeds that are faults, at a place of their own in a plan. */
const FAILURES = new Set(["lose page", "lose bus", "stall"]);

/** Everything that a run shows while it happens. What breaks a promise at once is written down at once. */
export class Ledger {
  readonly violations: string[] = [];
  readonly plan: Plan;
  /** The messages of the room in the order of the bus. */
  readonly stored: string[] = [];
  readonly typed = new Set<string>();
  readonly handled: string[] = [];
  readonly attached: Attached[] = [];
  /** People who may not be in the room any more. */
  readonly denied = new Set<string>();
  /** Pages for which `remove` has resolved. */
  readonly removed = new Set<string>();
  /** People whose sessions somebody has ended, or tried to. */
  readonly ended = new Set<string>();
  /** Visits without a response. Each may have given its person a session of which the browser knows nothing. */
  readonly unanswered = new Set<string>();
  /** When a session ended, and the processes that know it. */
  readonly endedSessions = new Map<string, { readonly at: number; readonly apps: Set<string> }>();
  /** Reports that somebody is gone, each with the listeners that had been attached by then. */
  readonly empties: {
    readonly of: string;
    readonly id: string;
    readonly after: readonly Attached[];
  }[] = [];

  constructor(plan: Plan) {
    this.plan = plan;
  }

  /** Whether somebody may have lost the session. */
  mayBeOut(person: string): boolean {
    return this.ended.has(person) || [...this.unanswered].some((it) => it.startsWith(`${person} `));
  }

  violated(law: string, what: string): void {
    this.violations.push(`${law}: ${what}`);
  }

  /** Whether nothing fails. */
  get isCalm(): boolean {
    const { faults, steps } = this.plan;
    return faults.length === 0 && steps.every(({ deed }) => !FAILURES.has(deed.do));
  }

  hasFault(...faults: Plan["faults"]): boolean {
    return this.plan.faults.some((it) => faults.includes(it));
  }

  joined(seen: Seen): void {
    // Some may have come after the server had counted: only who asks for more than there are gets all.
    const isGivenAll = this.plan.retained === "all" && seen.replay > this.stored.length;
    seen.joinedAt ??= isGivenAll ? 0 : this.stored.length;
  }

  gap(seen: Seen, reason: string): void {
    seen.hasGap = true;
    if (this.plan.retained === "all") {
      this.violated("B1", `${seen.page.name} was told of a gap (${reason}), and all is retained`);
    }
  }

  said(seen: Seen, text: string): void {
    const { page } = seen;
    const at = this.stored.indexOf(text);
    if (at === -1) {
      this.violated("B1", `${page.name} shows "${text}", which is nowhere`);
      return;
    }
    if (seen.shown.has(text)) this.violated("B1", `${page.name} shows "${text}" twice`);
    else if (seen.last !== undefined && at < seen.last) {
      this.violated("B1", `${page.name} shows "${text}" too late`);
    }
    const first = seen.last === undefined ? seen.joinedAt : seen.last + 1;
    if (first !== undefined && at > first && !seen.hasGap) {
      this.violated(
        "B1",
        `${page.name} shows "${text}", and not "${this.stored[first]}" before it`,
      );
    }
    this.#reaches(page, text);
    seen.shown.add(text);
    seen.last = at;
    seen.hasGap = false;
  }

  sawTyping(seen: Seen, text: string): void {
    if (!this.typed.has(text)) this.violated("B1", `${seen.page.name} shows "${text}"`);
    if (seen.shown.has(text)) this.violated("B1", `${seen.page.name} shows "${text}" twice`);
    this.#reaches(seen.page, text);
    seen.shown.add(text);
  }

  /**
   * Returns a function to call when a `remove` has resolved. It counts for the pages that have a listener
   * until then: what is on its way to a page whose listener has ended before may still arrive.
   */
  removing(person: string, isLiving: (app: string) => boolean): () => void {
    this.denied.add(person);
    const theirs = this.attached.filter(
      ({ listener }) => listener.user === person && listener.endReason === undefined,
    );
    return () => {
      for (const { app, page, listener } of theirs) {
        const isIn = listener.endReason === undefined || listener.endReason === "left";
        if (isIn && isLiving(app)) this.removed.add(page);
      }
    };
  }

  #reaches({ name }: Page, text: string): void {
    if (!this.removed.has(name)) return;
    this.violated("B4", `"${text}" reaches ${name} after remove has resolved`);
  }

  /** What is sent to a page that comes back may come by its old connection and by its new one. */
  received(
    { page, shown, connections }: Seen,
    { to, text }: { readonly to: string; readonly text: string },
  ): void {
    if (to !== page.browser.person) this.violated("C1", `${page.name} receives what is for ${to}`);
    const once = `${text} by connection ${connections}`;
    if (shown.has(once)) this.violated("C1", `${page.name} receives "${text}" twice`);
    shown.add(once);
  }

  handledCall(app: string, text: string, id: string): void {
    if (this.handled.includes(text)) this.violated("B2", `the call "${text}" is handled again`);
    this.handled.push(text);
    const { session, endReason } =
      this.attached.find((it) => it.listener.id === id)?.listener ?? {};
    if (session === undefined) return;
    // A page that had left, or was asked to come back with a new id, is as a client that has gone: what it
    // sent before is carried out.
    if (endReason === "left" || endReason === "renewed") return;
    if (this.endedSessions.get(session)?.apps.has(app)) {
      this.violated("C2", `"${text}" is handled for a session that ${app} knows to have ended`);
    }
  }

  settledCall(called: Called, outcome: string, result?: { readonly text?: unknown }): void {
    called.outcome = outcome;
    const { text } = called;
    const times = this.handled.filter((it) => it === text).length;
    if (outcome === "" && times !== 1) this.violated("B2", `the call "${text}" resolved unhandled`);
    if (outcome === "" && result?.text !== text) {
      this.violated("B2", `the call "${text}" has the result of another one`);
    }
  }

  sessionEnded(app: string, publicId: string, at: number): void {
    const known = this.endedSessions.get(publicId) ?? { at, apps: new Set() };
    this.endedSessions.set(publicId, known);
    known.apps.add(app);
  }

  emptied(of: string, id: string): void {
    this.empties.push({ of, id, after: [...this.attached] });
    if (!this.isCalm) return;
    const isThere = this.attached.some(
      ({ listener: { user, client, endReason } }) =>
        endReason === undefined && (user === of || client === of),
    );
    if (isThere) this.violated("C8", `${of} is reported as gone, and is there`);
  }

  /** All the sessions of somebody have ended, as far as this process was told. */
  endResolved(app: string): void {
    for (const { app: of, listener } of this.attached) {
      if (of !== app || listener.endReason !== undefined) continue;
      if (!this.endedSessions.get(listener.session ?? "")?.apps.has(app)) continue;
      this.violated("C1", `${app} has ended a session, and has a listener of it`);
    }
  }
}
