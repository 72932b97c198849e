import { createHash, randomBytes } from "node:crypto";
import { after } from "@lanai/connection/deadline";
import { flat } from "@lanai/connection/flat";
import type { Note } from "@lanai/connection/note-seal";
import { RequestTrace } from "@lanai/connection/request-trace";
import type { Session } from "@lanai/session";
import type { ExtendableContext } from "koa";
import type { Relay } from "../bus/relay.ts";
import type { EndReason } from "../end-reason.ts";
import { type ClientsEventName, events } from "../events.ts";
import type { PresenceBoard } from "../presence/presence-board.ts";
import type { SessionChecks } from "../sessions/session-checks.ts";
import type { TargetKey } from "../target.ts";
import { type Identity, LocalListener, type LocalListenerOptions } from "./local-listener.ts";
import { type LiveMessage, receivedMessage } from "./message.ts";
import { MultiMap } from "./multi-map.ts";

export interface ListenersOptions {
  readonly relay: Relay;
  readonly checks: SessionChecks;
  readonly presence: PresenceBoard;
  /** The first part of the subjects on the bus. */
  readonly prefix: string;
  readonly maxPerSession: number;
  readonly maxPerClient: number;
  readonly maxPerProcess: number;
}

/** The place of a request that is becoming a listener, from before its head leaves. */
export interface Place {
  /** Takes one of those that the process has; returns false, and reports it, if there is none left. */
  take(): boolean;
  /** Frees it, if it was taken. */
  free(): void;
}

/** The resources of an attached listener, until it ends. */
interface Attachment {
  readonly trace: RequestTrace<ExtendableContext>;
  subjects: readonly string[];
  sessionId: string | undefined;
}

const ID = /^[\w-]{27}$/;
/**
 * The times after the beginning of a session at which tabs are looked for that asked before it, in
 * milliseconds: most are attached in the first, and handshakes time out in the second.
 */
const UNDER_WAY = [1_000, 10_000] as const;
const NODE_LENGTH = 11;

/** Returns a name for this process, with which the ids of its listeners begin. */
export function nodeId(): string {
  return randomBytes(8).toString("base64url");
}

/** The listeners of this process, found by the targets that reach them, here and from elsewhere. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #byId = new Map<string, LocalListener>();
  readonly #byTarget = new MultiMap<TargetKey, LocalListener>();
  readonly #attached = new Map<LocalListener, Attachment>();
  #ready: Promise<unknown> = Promise.resolve();
  /** The places of requests that aren't registered yet. */
  #taken = 0;

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Subscribes what others send to single listeners. Nobody is attached before `others` settle. */
  open(...others: Promise<unknown>[]): void {
    const own = this.#options.relay.retain(this.subject, (note) => {
      if (typeof note.listener === "string") this.#received(note, `listener:${note.listener}`);
    });
    this.#ready = Promise.all([own, ...others]);
  }

  /** The numbers of what is kept. */
  get size(): { readonly listeners: number; readonly other: number } {
    return { listeners: this.#byId.size, other: this.#byTarget.size + this.#attached.size };
  }

  all(): LocalListener[] {
    return [...this.#byId.values()];
  }

  /** Returns a copy: those found may end while they are iterated. */
  find(key: TargetKey): readonly LocalListener[] {
    if (!key.startsWith("listener:")) return this.#byTarget.get(key);
    const found = this.#byId.get(key.slice("listener:".length));
    return found ? [found] : [];
  }

  /** The listeners without a session, whose end the store can't report. */
  get withoutSession(): LocalListener[] {
    return this.all().filter((it) => it.session === undefined);
  }

  /** The subject that this process alone subscribes. */
  get subject(): string {
    return this.#nodeSubject(this.#options.relay.node);
  }

  /** Returns a context like that of the request that an attached listener has come with. */
  contextOf(listener: LocalListener): ExtendableContext | undefined {
    return this.#attached.get(listener)?.trace.context();
  }

  // ── coming ──

  /** Returns a place that isn't taken yet. */
  place(): Place {
    let isTaken = false;
    return {
      take: () => {
        if (this.#byId.size + this.#taken >= this.#options.maxPerProcess) {
          events.report("full", "full", { level: "warn" });
          return false;
        }
        isTaken = true;
        this.#taken += 1;
        return true;
      },
      free: () => {
        if (isTaken) this.#taken -= 1;
        isTaken = false;
      },
    };
  }

  make(options: LocalListenerOptions): LocalListener {
    const id = flat(this.#options.relay.node + randomBytes(12).toString("base64url"));
    return new LocalListener(id, options);
  }

  /** Ends the oldest of the same session or browser: its page may be gone without a word. */
  makeRoom({ client, session }: Omit<Identity, "user">): void {
    const { maxPerClient, maxPerSession } = this.#options;
    if (session !== undefined) this.#endOldest(`session:${session}`, maxPerSession);
    if (client !== undefined) this.#endOldest(`client:${client}`, maxPerClient);
  }

  #endOldest(key: TargetKey, limit: number): void {
    if (this.#byTarget.count(key) < limit) return;
    // In the order in which they were attached.
    const found = this.find(key);
    for (const listener of found.slice(0, found.length - limit + 1)) listener.end("limit");
  }

  async attach(
    listener: LocalListener,
    ctx: ExtendableContext,
    sessionId: string | undefined,
    place: Place,
  ): Promise<void> {
    const trace = RequestTrace.of(ctx);
    const attachment: Attachment = { trace, subjects: [], sessionId: undefined };
    this.#attached.set(listener, attachment);
    const registered = this.#register(listener, attachment, sessionId);
    // From here on it counts as a listener.
    place.free();
    await registered;
    if (listener.endReason) return;
    this.#join(listener);
    this.#report("attached", listener);
    listener.open();
  }

  /** Makes the listener another session's from here on. */
  async move(listener: LocalListener, session: Session): Promise<void> {
    const attachment = this.#attached.get(listener);
    if (attachment === undefined) return;
    const { publicId, userId: user } = session;
    const { client } = listener;
    if (listener.session !== publicId) this.makeRoom({ client: undefined, session: publicId });
    this.#unregister(listener);
    listener.identity = { client, session: publicId, user };
    await this.#register(listener, attachment, session.id);
    if (!listener.endReason) this.#join(listener);
  }

  /** Makes the listener findable, and only then checks whether its session lives (law C1). */
  async #register(
    listener: LocalListener,
    attachment: Attachment,
    sessionId: string | undefined,
  ): Promise<void> {
    const { checks } = this.#options;
    this.#byId.set(listener.id, listener);
    for (const key of listener.keys) this.#byTarget.add(key, listener);
    const before = attachment.sessionId;
    attachment.sessionId = sessionId;
    if (before !== undefined && before !== sessionId) checks.delete(listener, before);
    await this.#subscribe(listener, attachment);
    const { session } = listener;
    // It may have ended meanwhile, or belong to another session already.
    if (listener.endReason || attachment.sessionId !== sessionId) return;
    if (sessionId === undefined || session === undefined) return;
    await checks.add(listener, sessionId, session);
  }

  #unregister(listener: LocalListener): void {
    this.#byId.delete(listener.id);
    for (const key of listener.keys) this.#byTarget.delete(key, listener);
  }

  /** Subscribes what all processes send to any target that the listener belongs to. */
  async #subscribe(listener: LocalListener, attachment: Attachment): Promise<void> {
    const { relay } = this.#options;
    if (relay.isAlone) return;
    const before = attachment.subjects;
    const wanted = new Map(listener.keys.map((key) => [this.#subjectOf(key), key]));
    attachment.subjects = [...wanted.keys()];
    for (const subject of before) if (!wanted.has(subject)) relay.release(subject);
    const missing = [...wanted].filter(([subject]) => !before.includes(subject));
    await Promise.all([
      this.#ready,
      ...missing.map(([subject, key]) => relay.retain(subject, this.#received, key)),
    ]);
  }

  #join(listener: LocalListener): void {
    this.#options.presence.join({ id: listener.id, ...listener.identity });
  }

  // ── going ──

  /** Called once for each listener that was made. */
  remove(listener: LocalListener): void {
    const { relay, checks, presence } = this.#options;
    this.#unregister(listener);
    presence.leave(listener.id);
    const attachment = this.#attached.get(listener);
    this.#attached.delete(listener);
    for (const subject of attachment?.subjects ?? []) relay.release(subject);
    if (attachment?.sessionId !== undefined) checks.delete(listener, attachment.sessionId);
    this.#report("ended", listener);
  }

  end(key: TargetKey, reason: EndReason): void {
    for (const listener of this.find(key)) listener.end(reason);
  }

  /**
   * Makes the tabs of a browser that were attached without its new session come back with it, and those
   * whose request was under way when the session began.
   */
  reconnectAnonymous(client: string): void {
    this.#endAnonymous(client);
    for (const ms of UNDER_WAY) after(ms, () => this.#endAnonymous(client), { unref: true });
  }

  #endAnonymous(client: string): void {
    for (const listener of this.find(`client:${client}`)) {
      if (listener.session === undefined) listener.end("renewed");
    }
  }

  /** Ends those without a session; the store knows whether the sessions of the others live. */
  async endTarget(key: TargetKey, except?: string): Promise<void> {
    const left = new Set<string>();
    for (const listener of this.find(key)) {
      if (listener.session === undefined) listener.end("terminated");
      else if (listener.session !== except) left.add(listener.session);
    }
    await Promise.all([...left].map((it) => this.#options.checks.check(it)));
  }

  // ── messages ──

  /** Sends to the listeners of this process. @returns How many they are. */
  deliver(key: TargetKey, message: LiveMessage, except?: unknown): number {
    let count = 0;
    for (const listener of this.find(key)) {
      if (listener.id !== except && listener.deliver(message)) count += 1;
    }
    return count;
  }

  /** Sends to the listeners of other processes. */
  async publish(
    key: TargetKey,
    { event, json }: LiveMessage,
    except?: string,
  ): Promise<"published" | "down" | "none"> {
    const { relay } = this.#options;
    const note: Record<string, string> = { event, json, ...(except !== undefined && { except }) };
    let subject: string;
    if (key.startsWith("listener:")) {
      const id = key.slice("listener:".length);
      // Its id says where it is.
      const other = ID.test(id) ? id.slice(0, NODE_LENGTH) : relay.node;
      if (other === relay.node) return "none";
      subject = this.#nodeSubject(other);
      note.listener = id;
    } else {
      subject = this.#subjectOf(key);
    }
    if (relay.isAlone) return "none";
    return (await relay.publish(subject, note)) ? "published" : "down";
  }

  /** Delivers what another process sends to a target. */
  readonly #received = ({ event, json, except }: Note, key: TargetKey): void => {
    const message = receivedMessage(event, json);
    if (message) this.deliver(key, message, except);
  };

  /** Hashed, because the names of channels are seen by whoever may look at the broker. */
  #subjectOf(key: TargetKey): string {
    const hash = createHash("sha256").update(key).digest("base64url").slice(0, 22);
    return flat(`${this.#options.prefix}.to.${hash}`);
  }

  #nodeSubject(node: string): string {
    return `${this.#options.prefix}.node.${node}`;
  }

  #report(name: ClientsEventName, listener: LocalListener): void {
    if (!events.isWatched(name)) return;
    const { id, client, session, endReason } = listener;
    events.emit(name, {
      level: "info",
      listener: id,
      ...(endReason !== undefined && { reason: endReason }),
      ...(client !== undefined && { client }),
      ...(session !== undefined && { session }),
    });
  }
}
