import assert from "node:assert/strict";
import type { IndexedStore } from "../../indexed-store.ts";
import { keyOf } from "../../stores/session-key.ts";
import type { Random } from "../random.ts";
import type { AppProcess } from "./app-process.ts";

/** The ways in which a handler of the app can end. */
const ENDINGS = ["return", "late", "commit", "throw"];

export interface Answer {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly wasIn: boolean;
  readonly body: Record<string, unknown>;
}

/** One browser, whose requests go to one server or the other, at random. */
export class Visitor {
  cookie: string | undefined;
  /** Every cookie that it was ever given. */
  readonly #given = new Set<string>();
  readonly #apps: readonly AppProcess[];
  readonly #store: IndexedStore;
  readonly #random: Random;

  constructor(apps: readonly AppProcess[], store: IndexedStore, random: Random) {
    this.#apps = apps;
    this.#store = store;
    this.#random = random;
  }

  /** Sends the cookie of now, or the given one; keeps what comes back, in order of arrival. */
  ask(path: string, cookie: string | undefined = this.cookie): Promise<Answer> {
    return this.askAt(this.#random(2), path, cookie);
  }

  async askAt(n: number, path: string, cookie: string | undefined = this.cookie): Promise<Answer> {
    const response = await fetch((this.#apps[n] as AppProcess).url + path, {
      redirect: "manual",
      ...(cookie && { headers: { cookie } }),
    });
    const [line] = response.headers.getSetCookie();
    const given = line === undefined || /; *max-age=0(;|$)/i.test(line) ? "" : line.split(";")[0];
    if (line !== undefined) this.cookie = given || undefined;
    if (given) this.#given.add(given);
    const text = await response.text();
    return {
      status: response.status,
      cookie: given || undefined,
      // 401 is what an explicit commit gets whose session has ended meanwhile.
      wasIn: response.headers.get("x-was-in") === "true" || response.status === 401,
      body: text.startsWith("{") ? JSON.parse(text) : {},
    };
  }

  ending(): string {
    return ENDINGS[this.#random(ENDINGS.length)] as string;
  }

  /** Returns the report of both servers on a cookie; they must agree. */
  async seenBy(cookie: string | undefined): Promise<Record<string, unknown>> {
    const ask = (n: number) => this.askAt(n, "/read", cookie ?? "");
    const [one, other] = await Promise.all([ask(0), ask(1)]);
    assert.equal(one.status, 200);
    assert.deepEqual(one.body, other.body, "the two processes disagree");
    return one.body;
  }

  /**
   * Checks the number of sessions that live under the cookies it ever had, each under one of them.
   */
  async expectToReach(count: number): Promise<void> {
    const found: string[] = [];
    for (const cookie of this.#given) {
      const loaded = await this.#store.load(keyOf(cookie.slice("sid=".length)));
      if (loaded.status === "live") found.push(loaded.record.publicId);
    }
    assert.equal(found.length, count, `${found.length} sessions live, and ${count} should`);
    assert.equal(new Set(found).size, count, "two cookies open one session");
  }
}
