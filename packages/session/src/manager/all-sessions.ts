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
}

/** Goes through all sessions of a store in small steps, with time for everything else between them. */
export class AllSessions {
  readonly #manager: SessionEnding;
  /** The steps that failed, each with the number of sessions that its call had ended until then. */
  readonly #failed = new Map<Step, number>();

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
    const ended = new Set<string>();
    let before = 0;
    const make = async (step: Step): Promise<string | undefined> => {
      try {
        return await this.#destroyStep(step, ended);
      } catch (error) {
        this.#failed.set(step, before + ended.size);
        throw error;
      }
    };
    for (const [step, count] of this.#failed) {
      this.#failed.delete(step);
      before += count;
      await make(step);
    }
    let cursor: string | undefined;
    do {
      cursor = await make({ operation: this.#manager.operation(), cursor, reported: new Set() });
      await turn();
    } while (cursor !== undefined);
    return before + ended.size;
  }

  async #destroyStep(step: Step, all: Set<string>): Promise<string | undefined> {
    const store = this.#paged();
    const { callStore, onEnded } = this.#manager;
    const { operation, cursor } = step;
    const options = { operation, ...(cursor !== undefined && { cursor }) };
    const page: DestroyedPage = await callStore(
      () => store.destroyPage(options),
      (late) => void this.#report(step, late.ended),
    );
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
