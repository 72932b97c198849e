import { Frame } from "./frame.ts";
import type { Link } from "./link.ts";

/** One page's line over a connection. */
export interface Line {
  /** @returns Whether it was a frame, and not too much. */
  receive(text: string): boolean;
  end(): void;
}

/** The most tabs that share one connection. */
const MOST = 64;
const SHARED = /^@([\w-]{8,32})(?: (.*))?$/s;

/**
 * The lines of one connection: that of its own page, and those of tabs that share it. What is for one
 * of these begins with `@`, its id and a space; without more it ends the line.
 */
export class Lines {
  readonly #open: (id: string) => Line;
  readonly #own: Line;
  /** The lines of other tabs by their ids: made for the first. */
  #shared: Map<string, Line> | undefined;

  /** @param open - Opens the line of a tab; `""` is that of the connection's own page. */
  constructor(open: (id: string) => Line) {
    this.#open = open;
    this.#own = open("");
  }

  receive(text: string): boolean {
    if (!text.startsWith("@")) return this.#own.receive(text);
    const [, id, frame] = SHARED.exec(text) ?? [];
    if (id === undefined) return false;
    this.#shared ??= new Map();
    let line = this.#shared.get(id);
    if (frame === undefined) {
      line?.end();
      this.#shared.delete(id);
      return true;
    }
    if (line === undefined) {
      if (this.#shared.size >= MOST) return false;
      line = this.#open(id);
      this.#shared.set(id, line);
    }
    return line.receive(frame);
  }

  end(): void {
    this.#own.end();
    for (const line of this.#shared?.values() ?? []) line.end();
    this.#shared = undefined;
  }
}

/** Returns the link of a tab that shares the connection of another. */
export const sharedLink = (link: Link, id: string): Link => ({
  send: ({ text }) => link.send(new Frame(`@${id} ${text}`)),
  drained: () => link.drained(),
  // What has to be closed for one is closed for all: they come back.
  close: (code, reason) => link.close(code, reason),
  cut: () => link.cut(),
});
