/** The part of a WebSocket that the client uses. */
export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  onerror: (() => void) | null;
}

/** The constructor of a WebSocket, as browsers, Node, Bun and Deno have it. */
export type SocketClass = new (url: string, protocols: string[]) => Socket;

/** Another way to connect: `fallback`, or `share`. */
export type Transport = (host: Host) => SocketClass;

/** The part of a `fetch` response that the client uses. */
export interface HostResponse {
  readonly status: number;
  readonly ok: boolean;
  readonly headers?: { get(name: string): string | null };
  readonly body?: AsyncIterable<Uint8Array> | { getReader(): BodyReader } | null;
  json(): Promise<unknown>;
}

interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
}

type Listen = (name: string, fn: (event: { persisted?: boolean }) => void) => void;

/** The part of a page, or of Node, Bun and Deno, that the client uses. Tests pass their own. */
export interface Host {
  readonly URL: new (
    url: string,
    base?: string,
  ) => { readonly href: string; readonly origin: string; readonly pathname: string };
  readonly WebSocket: SocketClass;
  fetch(url: string, options: object): Promise<HostResponse>;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(timer: never): void;
  readonly crypto: { getRandomValues(bytes: Uint8Array): Uint8Array };
  readonly performance: { now(): number };
  readonly Date?: { now(): number };
  readonly random?: () => number;
  readonly console: { error(...values: unknown[]): void };
  readonly location?: { readonly href: string };
  readonly navigator?: { readonly onLine?: boolean; readonly locks?: Locks };
  addEventListener?: Listen;
  removeEventListener?: Listen;
  readonly document?: {
    readonly visibilityState?: string;
    addEventListener?: Listen;
    removeEventListener?: Listen;
  };
  readonly sessionStorage?: {
    getItem(name: string): string | null;
    setItem(name: string, value: string): void;
    removeItem(name: string): void;
  };
  readonly BroadcastChannel?: new (name: string) => Broadcast;
  readonly TextDecoder?: new () => {
    decode(bytes: Uint8Array | undefined, options: { readonly stream: true }): string;
  };
  readonly AbortController?: new () => { readonly signal: unknown; abort(): void };
}

export interface Broadcast {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: never }) => void) | null;
}

interface Locks {
  request(name: string, options: { signal: unknown }, run: () => Promise<void>): Promise<unknown>;
}
