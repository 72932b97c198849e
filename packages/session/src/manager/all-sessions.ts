import { setImmediate as turn } from "node:timers/promises";
import { SessionError } from "../errors.ts";
import { type DestroyedPage, isPaged, type PagedStore } from "../paged-store.ts";
import type { Ended } from "../store.ts";
import { undamaged } from "../stores/undamaged.ts";
import { type SessionEnding, type SessionSummary, SHOWN, summary } from "./owned-sessions.ts";

/** A step of the end of everyone. One that failed is repeated by the next call. */
interface Step {
  readonly operation: string;
  readonly cursor: string | undefined;
  /** The sessions whose end was reported: a result may come late, and again to a repetition. */
  readonly reported: Set<string>;
  /** The number of sessions that its call has ended in earlier steps, kept if this one fails. */
  readonly endedBefore: number;
}

/** Goes through all sessions of a store in small steps, with time for everything else between them. */
export class AllSessions {
  readonly #manager: SessionEnding;
  readonly #failed = new Set<Step>();

  constructor(manager: SessionEnding) {
    this.#manager = manager;
  }

  async count(): Promise<number> {
    const store = this.#paged();
    let sum = 0;
    let cursor: string | undefined;
    do {
      const { count, next } = await this.#manager.callStore(() => store.count(cursor));
      sum += count;
      cursor = next;
      await turn();
    } while (cursor !== undefined);
    return sum;
  }

  async *list(): AsyncGenerator<SessionSummary> {
    const store = this.#paged();
    let cursor: string | undefined;
    do {
      const options = { entries: SHOWN, ...(cursor !== undefined && { cursor }) };
      const { records, next } = await this.#manager.callStore(() => store.page(options));
      yield* undamaged(records, summary);
      cursor = next;
      await turn();
    } while (cursor !== undefined);
  }

  async destroy(): Promise<number> {
    const all = new Set<string>();
    let before = 0;
    for (const step of this.#failed) {
      await this.#destroyStep(step, all);
      before += step.endedBefore;
    }
    let cursor: string | undefined;
    do {
      const operation = this.#manager.operation();
      const endedBefore = before + all.size;
      const step = { operation, cursor, reported: new Set<string>(), endedBefore };
      cursor = await this.#destroyStep(step, all);
      await turn();
    } while (cursor !== undefined);
    return before + all.size;
  }

  async #destroyStep(step: Step, all: Set<string>): Promise<string | undefined> {
    const store = this.#paged();
    const { callStore, onEnded } = this.#manager;
    const { operation, cursor } = step;
    const options = { operation, ...(cursor !== undefined && { cursor }) };
    let page: DestroyedPage;
    try {
      page = await callStore(
        () => store.destroyPage(options),
        (late) => void this.#report(step, late.ended),
      );
    } catch (error) {
      this.#failed.add(step);
      throw error;
    }
    this.#failed.delete(step);
    for (const { publicId } of page.ended) {
      all.add(publicId);
      onEnded(publicId);
    }
    await this.#report(step, page.ended);
    return page.next;
  }

  async #report({ reported }: Step, ended: readonly Ended[]): Promise<void> {
    for (const one of ended) {
      if (reported.has(one.publicId)) continue;
      reported.add(one.publicId);
      await this.#manager.ends.report(one, "destroyed");
    }
  }

  #paged(): PagedStore {
    const { store } = this.#manager;
    if (isPaged(store)) return store;
    throw new SessionError(
      "ERR_SESSION_NOT_PAGED",
      "this store can't go through its sessions: use one that can, such as memoryStore()",
    );
  }
}
