import type { Host, Socket } from "../src/host.ts";

type Listener = (event: { persisted?: boolean }) => void;

/** A page whose sockets, timers, clocks, requests and events the test makes happen. */
export function testPage(random: () => number = () => 0.5) {
  const sockets: TestSocket[] = [];
  const timers = new Map<number, { readonly at: number; readonly fn: () => void }>();
  const listeners = new Map<string, Set<Listener>>();
  const requests: { readonly url: string; readonly options: Record<string, unknown> }[] = [];
  const reported: unknown[] = [];
  const storage = new Map<string, string>();
  const page = {
    now: 0,
    date: 1_700_000_000_000,
    /** What the next request is answered with; `undefined`: it fails; `never`: until it is aborted. */
    response: undefined as
      | { status: number; headers?: Record<string, string> }
      | "never"
      | undefined,
    visibilityState: "visible",
  };
  let timerId = 0;

  class TestSocket implements Socket {
    onopen: Socket["onopen"] = null;
    onmessage: Socket["onmessage"] = null;
    onclose: Socket["onclose"] = null;
    onerror: Socket["onerror"] = null;
    readonly sent: Record<string, unknown>[] = [];
    isClosed = false;
    readonly url: string;
    readonly protocols: readonly string[];
    constructor(url: string, protocols: string[]) {
      this.url = url;
      this.protocols = protocols;
      sockets.push(this);
    }
    send(text: string): void {
      this.sent.push(JSON.parse(text));
    }
    close(): void {
      this.isClosed = true;
    }
  }

  const events = {
    addEventListener(name: string, fn: Listener) {
      listeners.set(name, (listeners.get(name) ?? new Set()).add(fn));
    },
    removeEventListener(name: string, fn: Listener) {
      listeners.get(name)?.delete(fn);
    },
  };
  const host: Host = {
    ...{ URL, AbortController, crypto, random, ...events },
    WebSocket: TestSocket,
    fetch: async (url, options) => {
      requests.push({ url, options: options as Record<string, unknown> });
      const { response } = page;
      if (response === "never") {
        const { signal } = options as { signal?: AbortSignal };
        await new Promise((resolve) => signal?.addEventListener("abort", resolve));
        throw new TypeError("fetch was aborted");
      }
      if (response === undefined) throw new TypeError("fetch failed");
      const headers = new Headers(response.headers);
      return {
        status: response.status,
        ok: response.status < 300,
        headers,
        json: async () => ({}),
      };
    },
    setTimeout(fn, ms) {
      timerId += 1;
      timers.set(timerId, { at: page.now + ms, fn });
      return timerId;
    },
    clearTimeout: (id: number) => void timers.delete(id),
    performance: { now: () => page.now },
    Date: { now: () => page.date + page.now },
    console: { error: (it) => reported.push(it) },
    location: { href: "https://app.example/page" },
    document: {
      ...events,
      get visibilityState() {
        return page.visibilityState;
      },
    },
    sessionStorage: {
      getItem: (name) => storage.get(name) ?? null,
      setItem: (name, value) => void storage.set(name, value),
      removeItem: (name) => void storage.delete(name),
    },
  };

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    ...{ page, host, sockets, requests, reported, storage, turn },
    get socket(): TestSocket {
      const last = sockets.at(-1);
      if (!last) throw new Error("there is no socket");
      return last;
    },
    receive(frame: object): void {
      this.socket.onmessage?.({ data: JSON.stringify(frame) });
    },
    open(): void {
      this.receive({ t: "welcome", ping: 25_000, window: 60_000, max: 1_000 });
    },
    close(code: number): void {
      this.socket.onclose?.({ code });
    },
    async fire(name: string, event: { persisted?: boolean } = {}): Promise<void> {
      for (const fn of listeners.get(name) ?? []) fn(event);
      await turn();
    },
    /** Lets time pass, timer by timer. */
    async pass(ms: number): Promise<void> {
      const end = page.now + ms;
      for (;;) {
        const [id, next] = [...timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
        if (id === undefined || next === undefined || next.at > end) break;
        page.now = Math.max(page.now, next.at);
        timers.delete(id);
        next.fn();
        await turn();
      }
      page.now = end;
      await turn();
    },
  };
}
