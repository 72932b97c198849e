import type { Cancel } from "@lanai/connection/deadline";
import type { TargetKey } from "../target.ts";
import { dropOldest } from "./lost-processes.ts";
import type { Peers } from "./peers.ts";
import type { Empty, Timers } from "./types.ts";

interface Vacancy {
  readonly id: string;
  /** The process whose listener left last, as it is seen here. */
  readonly node: string;
  /** `owner`: it is given time to act. `first`: the first of the live processes acts. */
  state: "grace" | "owner" | "first";
  cancel: Cancel;
}

/** The most targets that others have emitted early: as many as the users of a large process that is lost. */
const MOST_EARLY = 10_000;

export interface VacanciesOptions {
  readonly self: string;
  readonly peers: Peers;
  readonly timers: Timers;
  /** The wait for a reconnect, in milliseconds. */
  readonly grace: number;
  /** The time in which the process that had the last listener has to act, in milliseconds. */
  readonly step: number;
  /** The longest that this process waits for one that comes before it, in milliseconds; see {@link Peers}. */
  readonly patience: () => number;
  /** Emits `empty`, and announces it to the other processes. */
  act(key: TargetKey, event: Empty): void;
}

/**
 * Clients and users whose last listener has left. After the grace time the process that had it emits
 * `empty`. Two whose last listeners left at once each take the other's for the last one, and a process
 * may be gone: then the first of the live ones does, and in the end any that hears of nobody.
 */
export class Vacancies {
  readonly #options: VacanciesOptions;
  readonly #vacancies = new Map<TargetKey, Vacancy>();
  /** The `empty` events of other processes for targets that still have a listener in this one's view. */
  readonly #early = new Map<TargetKey, { readonly id: string; readonly until: number }>();

  constructor(options: VacanciesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#vacancies.size;
  }

  /** The last listener of these targets has left, `last`, which a process had. */
  begin(keys: readonly TargetKey[], last: string, node: string): void {
    const { timers, grace } = this.#options;
    for (const key of keys) {
      if (key.startsWith("session:")) continue;
      this.end(key);
      // The same in every process, so that repeats are recognised.
      const id = `${last}.${key.slice(0, key.indexOf(":"))}`;
      if (this.#isEmitted(key, id)) continue;
      const cancel = timers.after(grace, () => this.#afterGrace(key, vacancy));
      const vacancy: Vacancy = { id, node, state: "grace", cancel };
      this.#vacancies.set(key, vacancy);
    }
  }

  #afterGrace(key: TargetKey, vacancy: Vacancy): void {
    const { self, peers, step, timers } = this.#options;
    if (vacancy.node === self) {
      this.#act(key, vacancy);
    } else if (peers.has(vacancy.node)) {
      vacancy.state = "owner";
      vacancy.cancel = timers.after(step, () => this.#leaveToFirst(key, vacancy));
    } else {
      this.#leaveToFirst(key, vacancy);
    }
  }

  #leaveToFirst(key: TargetKey, vacancy: Vacancy): void {
    const { patience, timers } = this.#options;
    vacancy.state = "first";
    vacancy.cancel = timers.after(patience(), () => this.#act(key, vacancy));
    this.ranked();
  }

  /** Acts if this process is the first of the live ones. Called whenever it may have become that. */
  ranked(): void {
    if (!this.#options.peers.isFirst) return;
    for (const [key, vacancy] of this.#vacancies) {
      if (vacancy.state === "first") this.#act(key, vacancy);
    }
  }

  #act(key: TargetKey, { id, cancel }: Vacancy): void {
    cancel();
    this.#vacancies.delete(key);
    const at = key.indexOf(":");
    this.#options.act(key, { [key.slice(0, at)]: key.slice(at + 1), id } as Empty);
  }

  /**
   * Another process has emitted `empty`. With a short grace time it is heard before the last listener's
   * `leave` is, or before its process is lost here.
   */
  emitted(key: TargetKey, id: string): void {
    if (this.#vacancies.has(key)) {
      this.end(key);
      return;
    }
    const { timers, patience } = this.#options;
    this.#early.set(key, { id, until: timers.now() + patience() });
    dropOldest(this.#early, MOST_EARLY);
  }

  #isEmitted(key: TargetKey, id: string): boolean {
    const early = this.#early.get(key);
    this.#early.delete(key);
    return early?.id === id && this.#options.timers.now() < early.until;
  }

  /** Somebody came back, or it is emitted. */
  end(key: TargetKey): void {
    this.#vacancies.get(key)?.cancel();
    this.#vacancies.delete(key);
  }

  close(): void {
    for (const { cancel } of this.#vacancies.values()) cancel();
    this.#vacancies.clear();
  }
}
