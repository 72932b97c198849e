import { MultiMap } from "../listeners/multi-map.ts";
import type { TargetKey } from "../target.ts";
import type { PresentListener } from "./types.ts";

/** The present listeners of all processes, by the targets that they belong to. */
export class Directory {
  readonly #byKey = new MultiMap<TargetKey, PresentListener>();

  /** The number of targets. */
  get size(): number {
    return this.#byKey.size;
  }

  has(key: TargetKey): boolean {
    return this.#byKey.has(key);
  }

  count(key: TargetKey): { listeners: number; sessions: number; clients: number } {
    const listeners = this.#byKey.get(key);
    const different = (name: "session" | "client") =>
      new Set(listeners.map((it) => it[name]).filter((it) => it !== undefined)).size;
    return {
      listeners: listeners.length,
      sessions: different("session"),
      clients: different("client"),
    };
  }

  /** @returns The targets of the listener. */
  add(listener: PresentListener): TargetKey[] {
    const keys = keysOf(listener);
    for (const key of keys) this.#byKey.add(key, listener);
    return keys;
  }

  /** @returns The targets that have no listener any more. */
  delete(listener: PresentListener): TargetKey[] {
    const keys = keysOf(listener);
    for (const key of keys) this.#byKey.delete(key, listener);
    return keys.filter((key) => !this.#byKey.has(key));
  }
}

function keysOf({ client, session, user }: PresentListener): TargetKey[] {
  const keys: TargetKey[] = [];
  if (client !== undefined) keys.push(`client:${client}`);
  if (session !== undefined) keys.push(`session:${session}`);
  if (user !== undefined) keys.push(`user:${user}`);
  return keys;
}
