import type { BoundedClient } from "./bounded-client.ts";
import { NAME } from "./read-scripts.ts";

/** The position from which a walk through all keys continues. */
export interface Position {
  /** The index of the server. */
  readonly node: number;
  /** The cursor of `SCAN`. */
  readonly cursor: string;
}

export interface Step {
  /** The names of keys of sessions, and of keys that sessions had before. Each once. */
  readonly names: readonly string[];
  /** `undefined`: all keys have been seen. */
  readonly next: Position | undefined;
}

/** Walks through the keys of sessions, by `SCAN` on each server, which blocks nobody. */
export class Scan {
  readonly #client: BoundedClient;
  readonly #prefix: string;
  /** The store's prefix behind that of the client. */
  #fullPrefix: Promise<string> | undefined;

  constructor(client: BoundedClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  /** The servers as they are now, as a text: positions hold only as long as it stays. */
  get servers(): string {
    return this.#client.nodes.map(([name]) => name).join();
  }

  /** The time on each server. */
  async times(): Promise<number[]> {
    const { nodes } = this.#client;
    const times = nodes.map(async ([, node]) => {
      const time = (await this.#client.sendTo(node, "TIME")) as readonly (string | number)[];
      return Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000);
    });
    return Promise.all(times);
  }

  async step({ node, cursor }: Position, count: number): Promise<Step> {
    const { nodes } = this.#client;
    const [, server] = nodes[node] ?? [];
    if (server === undefined) return { names: [], next: undefined };
    const prefix = await this.#findPrefix();
    const pattern = `${prefix.replaceAll(/[*?[\]\\^]/g, "\\$&")}{??}.*`;
    const reply = await this.#client.sendTo(
      server,
      ...(["SCAN", cursor, "MATCH", pattern, "COUNT", `${count}`] as const),
    );
    const [next, keys] = reply as [string, string[]];
    const names = new Set(keys.map((key) => key.slice(prefix.length)));
    return { names: [...names], next: this.#after({ node, cursor: `${next}` }, nodes.length) };
  }

  #after({ node, cursor }: Position, servers: number): Position | undefined {
    if (cursor !== "0") return { node, cursor };
    return node + 1 < servers ? { node: node + 1, cursor: "0" } : undefined;
  }

  #findPrefix(): Promise<string> {
    this.#fullPrefix ??= this.#client.run(NAME, [this.#prefix]) as Promise<string>;
    this.#fullPrefix.catch(() => {
      this.#fullPrefix = undefined;
    });
    return this.#fullPrefix;
  }
}

export const BEGINNING: Position = { node: 0, cursor: "0" };
