import type { Broadcast, Host, Socket, SocketClass, Transport } from "./host.ts";

/** A note between tabs. `id` names a tab's line. */
interface Note {
  readonly id?: string;
  /** For the tab that holds the connection: a frame, or a sign of life, or the end of the line. */
  readonly up?: string;
  /** From it: a frame. */
  readonly down?: string;
  /** From it: the connection has closed, with this code. */
  readonly code?: number;
  /** From a tab that holds the connection from now on. */
  readonly lead?: true;
}

/** The heartbeat of a tab, and the time of silence after which it counts as closed, in milliseconds. */
const BEAT = 30_000;
const GONE = 200_000;
const END = "end";
const BEGIN = "begin";
/** A line comes back at once, as after a renewal: another tab holds the connection. */
const MOVED = 4403;

/**
 * One connection for all tabs of a browser that are on the same address: one tab holds it, found by a
 * Web Lock, and the others reach it by a BroadcastChannel. If it closes or is frozen, another takes
 * over, and every line resumes. Only for sessions in cookies. Give it to `connect` as `share`.
 */
export const share: Transport = (host: Host): SocketClass => {
  const { BroadcastChannel, AbortController } = host;
  const locks = host.navigator?.locks;
  if (!BroadcastChannel || !AbortController || !locks) return host.WebSocket;
  const groups = new Map<string, Group>();

  /** The tabs of one address, as this tab sees them. */
  class Group {
    readonly #name: string;
    readonly #url: string;
    readonly #protocols: string[];
    readonly #channel: Broadcast;
    /** The lines of this tab. */
    readonly lines = new Map<string, Shared>();
    /** Where this tab holds the connection: the lines of all tabs, and when each was heard. */
    readonly #heard = new Map<string, number>();
    #socket: Socket | undefined;
    #isOpen = false;
    #isLeading = false;
    #release: (() => void) | undefined;

    constructor(name: string, url: string, protocols: string[]) {
      this.#name = name;
      this.#url = url;
      this.#protocols = protocols;
      this.#channel = new (BroadcastChannel as NonNullable<Host["BroadcastChannel"]>)(name);
      this.#channel.onmessage = ({ data }) => this.#receive(data);
      const stop = () => this.#release?.();
      const start = () => this.#release || this.#stand();
      host.addEventListener?.("pagehide", stop);
      host.document?.addEventListener?.("freeze", stop);
      host.addEventListener?.("pageshow", start);
      host.document?.addEventListener?.("resume", start);
      this.#stand();
      this.#beat();
    }

    /** Waits to hold the connection, and holds it until it is released. */
    #stand(): void {
      const abort = new (AbortController as NonNullable<Host["AbortController"]>)();
      const held = new Promise<void>((resolve) => {
        this.#release = () => {
          this.#release = undefined;
          abort.abort();
          this.#isLeading = false;
          this.#close(MOVED);
          resolve();
        };
      });
      const lead = () => {
        this.#isLeading = true;
        this.tell({ lead: true });
        return held;
      };
      locks?.request(this.#name, { signal: abort.signal }, lead).catch(() => {});
    }

    #beat(): void {
      host.setTimeout(() => {
        for (const id of this.lines.keys()) this.tell({ id, up: "" });
        const oldest = host.performance.now() - GONE;
        for (const [id, heard] of this.#heard) if (heard < oldest) this.#take(id, END);
        this.#beat();
      }, BEAT);
    }

    /** Sends a note to every tab, this one included. */
    tell(note: Note): void {
      this.#channel.postMessage(note);
      this.#receive(note);
    }

    #receive({ id = "", up, down, code, lead }: Note): void {
      if (lead) {
        // Lines of the tab before come back; those that wait for one ask again.
        for (const line of [...this.lines.values()]) line.moved();
      }
      if (up !== undefined && this.#isLeading) this.#take(id, up);
      if (down !== undefined) this.lines.get(id)?.receive(down);
      if (code !== undefined) for (const line of [...this.lines.values()]) line.closed(code);
    }

    #take(id: string, up: string): void {
      if (up === END) {
        if (this.#heard.delete(id) && this.#isOpen) this.#socket?.send(`@${id}`);
        return;
      }
      if (up === BEGIN || this.#heard.has(id)) this.#heard.set(id, host.performance.now());
      if (up === BEGIN) this.#begin(id);
      else if (up && this.#isOpen) this.#socket?.send(`@${id} ${up}`);
    }

    #begin(id: string): void {
      // The server greets a line with its first frame.
      if (this.#isOpen) this.#socket?.send(`@${id} {"t":"ping"}`);
      if (this.#socket) return;
      const socket = new host.WebSocket(this.#url, this.#protocols);
      this.#socket = socket;
      socket.onerror = () => {};
      socket.onopen = () => {
        this.#isOpen = true;
        for (const known of this.#heard.keys()) socket.send(`@${known} {"t":"ping"}`);
      };
      socket.onmessage = ({ data }) => {
        const [, to, down] = /^@([\w-]+) (.*)$/s.exec(String(data)) ?? [];
        if (to && down) this.tell({ id: to, down });
      };
      socket.onclose = ({ code }) => this.#socket === socket && this.#close(code);
    }

    #close(code: number): void {
      const socket = this.#socket;
      this.#socket = undefined;
      this.#isOpen = false;
      this.#heard.clear();
      if (!socket) return;
      socket.onmessage = socket.onclose = null;
      socket.close();
      this.tell({ code });
    }
  }

  class Shared implements Socket {
    onopen: Socket["onopen"] = null;
    onmessage: Socket["onmessage"] = null;
    onclose: Socket["onclose"] = null;
    onerror: Socket["onerror"] = null;
    readonly #id: string;
    readonly #group: Group;
    #wasHeard = false;

    constructor(url: string, protocols: string[]) {
      this.#id = [...host.crypto.getRandomValues(new Uint8Array(8))]
        .map((it) => it.toString(16).padStart(2, "0"))
        .join("");
      const name = `lanai:${url}:${protocols}`;
      this.#group = groups.get(name) ?? new Group(name, url, protocols);
      groups.set(name, this.#group);
      this.#group.lines.set(this.#id, this);
      // Not before whoever has made this listens.
      host.setTimeout(() => this.#begin(), 0);
    }

    #begin(): void {
      if (this.#group.lines.has(this.#id)) this.#group.tell({ id: this.#id, up: BEGIN });
    }

    moved(): void {
      if (this.#wasHeard) this.closed(MOVED);
      else this.#begin();
    }

    receive(data: string): void {
      this.#wasHeard = true;
      this.onmessage?.({ data });
    }

    closed(code: number): void {
      if (this.#group.lines.delete(this.#id)) this.onclose?.({ code });
    }

    send(text: string): void {
      this.#group.tell({ id: this.#id, up: text });
    }

    close(): void {
      if (this.#group.lines.delete(this.#id)) this.#group.tell({ id: this.#id, up: END });
    }
  }

  return Shared;
};
