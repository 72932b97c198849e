import { connect, type Host, type Line } from "@lanai/browser";
import { fallback } from "@lanai/browser/fallback";
import { share } from "@lanai/browser/share";
import type { Storm } from "./app.ts";

/** What one room has shown, from its join to its end: numbers, and gaps between them. */
export type Shown = number | "gap";

export interface CallResult {
  readonly id: string;
  readonly outcome: "resolved" | string;
}

export type Mode = "plain" | "share" | "fallback";

/** What the driver of the test finds in the page. */
export interface StormPage {
  readonly lives: { readonly shown: Shown[]; state: string }[];
  readonly calls: CallResult[];
  readonly codes: string[];
  /** How often the page came back out of the back/forward cache. */
  restored: number;
  start(mode: Mode, name: string): void;
  call(): void;
  pending(): number;
}

/** The page's globals, with shorter waits: what is spread over seconds takes a few milliseconds. */
const page = globalThis as unknown as Host & { WebSocket: Host["WebSocket"] };
const host = (mode: Mode): Host => ({
  ...({
    ...{ URL, AbortController, TextDecoder, crypto, performance, console },
    ...{ location: page.location, navigator: page.navigator, document: page.document },
    BroadcastChannel: page.BroadcastChannel,
  } as unknown as Host),
  WebSocket: mode === "fallback" ? Blocked : page.WebSocket,
  fetch: (url, options) => page.fetch(url, options),
  setTimeout: (fn, ms) => page.setTimeout(fn, ms),
  clearTimeout: (timer) => page.clearTimeout(timer),
  addEventListener: (name, fn) => page.addEventListener?.(name, fn),
  removeEventListener: (name, fn) => page.removeEventListener?.(name, fn),
  random: () => Math.random() / 20,
});

/** A proxy lets no WebSocket through. */
class Blocked {
  onopen = null;
  onmessage = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror = null;
  constructor() {
    setTimeout(() => this.onclose?.({ code: 1006 }), 0);
  }
  send(): void {}
  close(): void {}
}

const storm: StormPage & { room?: ReturnType<Line<Storm>["join"]> } = {
  ...{ lives: [], calls: [], codes: [], restored: 0 },
  start(mode, name) {
    const options = {
      host: host(mode),
      ...(mode === "share" && { share }),
      ...(mode === "fallback" && { fallback }),
    };
    const begin = (): void => {
      const line = connect<Storm>("/live", options);
      const room = line.join("room.:id", { id: "storm" }, { replay: 20 });
      const life = { shown: [] as Shown[], state: "joining" };
      storm.lives.push(life);
      storm.room = room as never;
      room.on("said", (n) => life.shown.push(n));
      room.on("gap", () => life.shown.push("gap"));
      room.on("joined", () => {
        life.state = "joined";
      });
      room.on("left", ({ code }) => {
        life.state = "left";
        storm.codes.push(code);
        // Whoever was signed out signs in, and loads the page again.
        setTimeout(begin, 50);
      });
    };
    begin();
    let count = 0;
    let pending = 0;
    storm.call = () => {
      const id = `${name}-${count++}`;
      pending += 1;
      const call = (storm.room as unknown as { call(...args: unknown[]): Promise<unknown> }).call;
      call
        .call(storm.room, "note", id, { timeout: 5_000 })
        .then(
          () => storm.calls.push({ id, outcome: "resolved" }),
          (error: { code: string }) => storm.calls.push({ id, outcome: error.code }),
        )
        .finally(() => {
          pending -= 1;
        });
    };
    storm.pending = () => pending;
  },
  call() {},
  pending: () => 0,
};

page.addEventListener?.("pageshow", ({ persisted }) => {
  if (persisted) storm.restored += 1;
});
(globalThis as unknown as { storm: StormPage }).storm = storm;
