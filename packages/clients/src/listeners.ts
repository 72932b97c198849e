import { createHash, randomBytes } from "node:crypto";
import type { Session } from "@lanai/session";
import type { ExtendableContext } from "koa";
import type { EndReason } from "./end-reason.ts";
import { type ClientsEventName, report } from "./events.ts";
import { type Identity, LocalListener, type LocalListenerOptions } from "./listener.ts";
import { LiveMessage } from "./message.ts";
import type { PresenceBoard } from "./presence.ts";
import { Registry } from "./registry.ts";
import type { Note, Relay } from "./relay.ts";
import type { TargetKey } from "./target.ts";
import type { Watches } from "./watches.ts";

export interface ListenersOptions {
  readonly relay: Relay;
  readonly watches: Watches;
  readonly presence: PresenceBoard;
  /** What the subjects on the bus begin with. */
  readonly prefix: string;
}

/** What has to be let go of when a listener ends. */
interface Held {
  readonly ctx: ExtendableContext;
  readonly subjects: Set<string>;
  sessionId: string | undefined;
}

const MOST = { client: 100, session: 20 };
const ID = /^[\w-]{27}$/;
const NODE_LENGTH = 11;

/** A name for this process, with which the ids of its listeners begin. */
export const nodeId = (): string => randomBytes(8).toString("base64url");

/** The listeners of this process: found by whatever names them, here and from other processes. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #registry = new Registry<LocalListener>();
  readonly #held = new Map<LocalListener, Held>();
  #ready: Promise<unknown> = Promise.resolve();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Hears what others send to single listeners. Nobody is attached before `others` have settled. */
  open(...others: Promise<unknown>[]): void {
    const own = this.#options.relay.retain(this.subject, (note) => {
      if (typeof note.listener === "string") this.#receive(`listener:${note.listener}`, note);
    });
    this.#ready = Promise.all([own, ...others]);
  }

  /** How much is kept. */
  get size(): { readonly listeners: number; readonly other: number } {
    const { listeners, keys } = this.#registry.size;
    return { listeners, other: keys + this.#held.size };
  }

  all(): LocalListener[] {
    return this.#registry.all();
  }

  find(key: TargetKey): LocalListener[] {
    return this.#registry.find(key);
  }

  /** Of their ends the store knows nothing. */
  get withoutSession(): LocalListener[] {
    return this.all().filter((it) => it.session === undefined);
  }

  /** On which this process alone listens. */
  get subject(): string {
    return this.#nodeSubject(this.#options.relay.node);
  }

  /** Of the listener's connection's request, while it is attached. */
  contextOf(listener: LocalListener): ExtendableContext | undefined {
    return this.#held.get(listener)?.ctx;
  }

  // ── coming ──

  make(options: Omit<LocalListenerOptions, "id">): LocalListener {
    const id = this.#options.relay.node + randomBytes(12).toString("base64url");
    return new LocalListener({ ...options, id });
  }

  isCrowded({ client, session }: Identity): boolean {
    const registry = this.#registry;
    return (
      (client !== undefined && registry.count("client", client) >= MOST.client) ||
      (session !== undefined && registry.count("session", session) >= MOST.session)
    );
  }

  async attach(
    listener: LocalListener,
    ctx: ExtendableContext,
    sessionId: string | undefined,
  ): Promise<void> {
    const held: Held = { ctx, subjects: new Set(), sessionId: undefined };
    this.#held.set(listener, held);
    await this.#register(listener, held, sessionId);
    if (listener.endReason) return;
    this.#join(listener);
    this.#report("attached", listener);
    listener.open();
  }

  /** The listener is another session's from here on. */
  async move(listener: LocalListener, session: Session): Promise<void> {
    const held = this.#held.get(listener);
    if (held === undefined) return;
    const { publicId, userId: user } = session;
    const { client } = listener;
    if (listener.session !== publicId && this.isCrowded({ session: publicId } as Identity)) {
      return listener.end("limit");
    }
    this.#registry.delete(listener);
    listener.identity = { client, session: publicId, user };
    await this.#register(listener, held, session.id);
    if (!listener.endReason) this.#join(listener);
  }

  /** From here on the listener can be found; only then is it looked whether its session lives. */
  async #register(
    listener: LocalListener,
    held: Held,
    sessionId: string | undefined,
  ): Promise<void> {
    const { watches } = this.#options;
    this.#registry.add(listener);
    const before = held.sessionId;
    held.sessionId = sessionId;
    if (before !== undefined && before !== sessionId) watches.delete(listener, before);
    await this.#listen(listener, held);
    const { session } = listener;
    // It may have ended meanwhile, or belong to another session already.
    if (listener.endReason || held.sessionId !== sessionId) return;
    if (sessionId === undefined || session === undefined) return;
    await watches.add(listener, sessionId, session);
  }

  /** Hears, from all processes, what is for anything that the listener belongs to. */
  async #listen(listener: LocalListener, { subjects }: Held): Promise<void> {
    const { relay } = this.#options;
    const wanted = new Map(listener.keys.slice(1).map((key) => [this.#subjectOf(key), key]));
    for (const subject of [...subjects]) {
      if (wanted.has(subject)) continue;
      subjects.delete(subject);
      relay.release(subject);
    }
    const missing = [...wanted].filter(([subject]) => !subjects.has(subject));
    for (const [subject] of missing) subjects.add(subject);
    await Promise.all([
      this.#ready,
      ...missing.map(([subject, key]) => relay.retain(subject, (note) => this.#receive(key, note))),
    ]);
  }

  #join(listener: LocalListener): void {
    this.#options.presence.join({ id: listener.id, ...listener.identity });
  }

  // ── going ──

  /** Called once for each listener that was made. */
  ended(listener: LocalListener): void {
    const { relay, watches, presence } = this.#options;
    this.#registry.delete(listener);
    presence.leave({ id: listener.id, ...listener.identity });
    const held = this.#held.get(listener);
    this.#held.delete(listener);
    for (const subject of held?.subjects ?? []) relay.release(subject);
    if (held?.sessionId !== undefined) watches.delete(listener, held.sessionId);
    this.#report("ended", listener);
  }

  end(key: TargetKey, reason: EndReason): void {
    for (const listener of this.find(key)) listener.end(reason);
  }

  /** Those without a session end; of the others the store knows whether theirs has. */
  async endWhose(key: TargetKey, except?: string): Promise<void> {
    const left = new Set<string>();
    for (const listener of this.find(key)) {
      if (listener.session === undefined) listener.end("terminated");
      else if (listener.session !== except) left.add(listener.session);
    }
    await Promise.all([...left].map((it) => this.#options.watches.look(it)));
  }

  // ── messages ──

  /** Sends to those here. @returns How many they are. */
  deliver(key: TargetKey, message: LiveMessage, except?: unknown): number {
    const found = this.find(key).filter((it) => it.id !== except);
    for (const listener of found) listener.deliver(message);
    return found.length;
  }

  /** Sends to those elsewhere. */
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

  #receive(key: TargetKey, { event, json, except }: Note): void {
    if (typeof event !== "string" || typeof json !== "string") return;
    this.deliver(key, new LiveMessage(event, json), except);
  }

  /** Hashed: the names of channels are seen by whoever may look at the broker. */
  #subjectOf(key: TargetKey): string {
    const hash = createHash("sha256").update(key).digest("base64url").slice(0, 22);
    return `${this.#options.prefix}.to.${hash}`;
  }

  #nodeSubject(node: string): string {
    return `${this.#options.prefix}.node.${node}`;
  }

  #report(name: ClientsEventName, listener: LocalListener): void {
    const { id, client, session, endReason } = listener;
    report(name, {
      level: "info",
      listener: id,
      ...(endReason !== undefined && { reason: endReason }),
      ...(client !== undefined && { client }),
      ...(session !== undefined && { session }),
    });
  }
}
