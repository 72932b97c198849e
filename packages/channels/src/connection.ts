import { createHash, randomBytes } from "node:crypto";
import type { EndReason, Listener, Target } from "@lanai/clients";
import { after } from "@lanai/connection/deadline";
import type { PublishOptions } from "@lanai/pubsub";
import type { Outcome } from "./bus/claims.ts";
import type { AnyChannel, Visitor } from "./channel.ts";
import { check } from "./check.ts";
import { Frame, frameOf } from "./frame.ts";
import type { Line } from "./lines.ts";
import type { Link } from "./link.ts";
import type { Settings } from "./options.ts";
import type { Occupant, Room } from "./room/room.ts";
import { CALL_WINDOW, type Incoming, PING, parseFrame } from "./wire.ts";
import { within } from "./within.ts";

export interface FoundChannel {
  readonly key: string;
  readonly channel: AnyChannel;
  readonly params: Readonly<Record<string, string>>;
}

/** The calls of its process's channels that a connection uses. */
export interface ConnectionHost {
  readonly settings: Settings;
  /** The connections of this process. */
  readonly connections: Set<Connection>;
  /** The channel that a page names, or `undefined` if it isn't declared so. */
  find(pattern: string, params: unknown): FoundChannel | undefined;
  room(key: string, channel: AnyChannel): Room;
  publish(
    key: string,
    channel: AnyChannel,
    event: string,
    data: unknown,
    options?: PublishOptions,
  ): Promise<void>;
  /** See `Claims.place`. */
  claimsPlace(): Promise<string | undefined>;
  /** Runs a call at most once in all processes: see `Claims.once`. */
  once(id: string, handle: () => Promise<Outcome>, since?: string): Promise<Outcome | undefined>;
  /** Reports what has failed in the app or on the bus. */
  failed(error: unknown): void;
}

export interface ConnectionOptions {
  readonly host: ConnectionHost;
  readonly listener: Listener;
  readonly link: Link;
  /** Distinguishes the lines of one listener: of tabs that share it. */
  readonly id: string;
  /** Whether its page confirms that it has left a channel. */
  readonly confirms: boolean;
}

interface Membership {
  readonly room: Room;
  readonly params: Readonly<Record<string, string>>;
  /** Since when its right could not be checked; an instant of `performance.now`. */
  doubtedSince?: number | undefined;
  /** Its right was withdrawn, so that calls which still wait aren't handled. */
  isWithdrawn?: true;
}

/** A removal until its page has confirmed it. */
interface Removal {
  readonly id: string;
  readonly confirm: () => void;
  readonly done: Promise<void>;
}

type JoinFrame = Extract<Incoming, { t: "join" }>;
type CallFrame = Extract<Incoming, { t: "call" }>;

/** The timeout of a page's confirmation that it has left a channel, in milliseconds. */
const CONFIRM = 1_500;
/**
 * The timeout of a closed connection's end, in milliseconds: less than the `closeTimeout` of
 * `@lanai/websocket`, which ends a connection and lets the kernel send what waits.
 */
const CLOSE = 500;
/** The time for which a right holds that can't be checked, in milliseconds. */
const DOUBT = 120_000;
/** Ends after which nothing that a page has asked for is done. */
const ENDED: ReadonlySet<EndReason | undefined> = new Set(["terminated", "disconnected"]);
/** Frames that wait while a token is checked. */
const MOST_WAITING = 1_000;

function exposed(error: unknown): string | undefined {
  const { expose, message } = (error ?? {}) as { expose?: unknown; message?: unknown };
  return expose === true ? String(message).slice(0, 512) : undefined;
}

/** One page that speaks the wire of channels. */
export class Connection implements Occupant, Line {
  readonly id: string;
  readonly listener: Listener;
  readonly #host: ConnectionHost;
  readonly #link: Link;
  readonly #confirms: boolean;
  readonly #memberships = new Map<string, Membership>();
  /** Joins under way, by key: a later join or leave of the same key makes an earlier one void. */
  #joining: Map<string, symbol> | undefined;
  /** Grows when rights may have changed: what was authorised before is authorised again. */
  #rights = 0;
  #calls = 0;
  /** The joins that may be asked for at once, as of an instant of `performance.now`. */
  #joinBudget: number;
  #joinedAt = performance.now();
  /** Frames that have come since a token whose session is being loaded. */
  #waiting: Incoming[] | undefined;
  #removals: Map<string, Removal> | undefined;
  #hasEnded = false;
  /** Made for whoever waits for the end. */
  #ended: PromiseWithResolvers<void> | undefined;

  constructor({ host, listener, link, id, confirms }: ConnectionOptions) {
    this.id = id;
    this.listener = listener;
    this.#host = host;
    this.#link = link;
    this.#confirms = confirms;
    const { maxChannels, maxFrame: max } = host.settings;
    this.#joinBudget = 2 * maxChannels;
    host.connections.add(this);
    this.send(frameOf("welcome", { ping: PING, window: CALL_WINDOW, max }));
  }

  get visitor(): Visitor {
    const { user: userId, session: publicId, client, id: listener } = this.listener;
    return { userId, publicId, client, listener };
  }

  get #isOver(): boolean {
    return this.#hasEnded || this.listener.endReason !== undefined;
  }

  send(frame: Frame): boolean {
    return this.#isOver || this.#link.send(frame);
  }

  drained(): Promise<void> {
    return this.#link.drained();
  }

  /** @returns Whether it was a frame, and not too much. */
  receive(text: string): boolean {
    if (this.#isOver) return true;
    const frame = text.length <= this.#host.settings.maxFrame ? parseFrame(text) : undefined;
    if (frame === undefined) return false;
    // Pages ping and acknowledge by themselves.
    if (frame.t !== "ping" && frame.t !== "ack") this.listener.touch();
    if (this.#waiting === undefined) this.#take(frame);
    else if (this.#waiting.push(frame) > MOST_WAITING) return false;
    return true;
  }

  #take(frame: Incoming): void {
    if (frame.t === "join") void this.#join(frame);
    else if (frame.t === "leave") this.#leave(frame.k);
    else if (frame.t === "call") void this.#call(frame);
    else if (frame.t === "session") void this.#recognise(frame.token);
    else if (frame.t === "ack") this.#confirm(frame.i);
    else if (frame.t === "ping") this.send(frameOf("pong"));
  }

  // ── joining ──

  async #join({ p, a, n, s: since }: JoinFrame): Promise<void> {
    const refuse = (code: string, reason?: string, k?: string): void =>
      void this.send(frameOf("refused", { k, p, a, code, reason }));
    if (!this.#mayAsk()) return refuse("ERR_UNAVAILABLE", "too many joins a second");
    const found = this.#host.find(p, a);
    if (found === undefined) return refuse("ERR_UNKNOWN", "no channel is declared so");
    const { key, channel, params } = found;
    const attempt = Symbol();
    this.#drop(key);
    this.#joining ??= new Map();
    this.#joining.set(key, attempt);
    const isWanted = (): boolean => this.#joining?.get(key) === attempt && !this.#isOver;
    let release: (() => void) | undefined;
    try {
      if (this.#memberships.size + (this.#joining?.size ?? 0) > this.#host.settings.maxChannels) {
        return refuse("ERR_LIMIT", "too many channels", key);
      }
      let rights = this.#rights;
      if (!(await this.#isAllowed(channel, params))) return refuse("ERR_REFUSED", undefined, key);
      const room = this.#host.room(key, channel);
      release = room.hold();
      await room.ready;
      const replay = Math.min(n, channel.config.maxReplay ?? 100);
      // Without it the page sends no call again.
      const calls = channel.config.calls && (await this.#host.claimsPlace().catch(() => undefined));
      const place = await room.prepare(this, { since, replay, calls });
      while (isWanted() && rights !== this.#rights) {
        rights = this.#rights;
        if (!(await this.#isAllowed(channel, params))) return refuse("ERR_REFUSED", undefined, key);
      }
      // Nothing is awaited between the last check and here.
      if (!isWanted()) return;
      if (!room.add(this, place)) return refuse("ERR_UNAVAILABLE", undefined, key);
      const membership: Membership = { room, params };
      this.#memberships.set(key, membership);
      this.#stopJoining(key);
      await this.#present(membership);
    } catch (error) {
      const reason = exposed(error);
      if (reason === undefined) this.#host.failed(error);
      if (!isWanted()) return;
      refuse(reason === undefined ? "ERR_UNAVAILABLE" : "ERR_REFUSED", reason, key);
    } finally {
      if (this.#joining?.get(key) === attempt) this.#stopJoining(key);
      release?.();
    }
  }

  #stopJoining(key: string): void {
    this.#joining?.delete(key);
    if (this.#joining?.size === 0) this.#joining = undefined;
  }

  #mayAsk(): boolean {
    const now = performance.now();
    const { joinRate, maxChannels } = this.#host.settings;
    const grown = this.#joinBudget + ((now - this.#joinedAt) / 1_000) * joinRate;
    const left = Math.min(2 * maxChannels, grown);
    this.#joinBudget = Math.max(0, left - 1);
    this.#joinedAt = now;
    return left >= 1;
  }

  async #isAllowed(channel: AnyChannel, params: Membership["params"]): Promise<boolean> {
    const answer = Promise.resolve(channel.config.join({ session: this.visitor, params }));
    const { callTimeout } = this.#host.settings;
    const isAllowed: unknown = await within(answer, callTimeout, () => {
      throw new Error(`join took longer than ${callTimeout} ms`);
    });
    return isAllowed === true;
  }

  async #present({ room, params }: Membership): Promise<void> {
    const { presence } = room.channel.config;
    if (!presence) return;
    try {
      const data: unknown = await presence({ session: this.visitor, params });
      const { userId, client, listener } = this.visitor;
      // Hashed: not to hide whoever can be guessed, but to have one form.
      const person = userId ? `user:${userId}` : (client ?? listener);
      const id = createHash("sha256").update(person).digest("base64url").slice(0, 22);
      room.setMember(this, { id, data });
    } catch (error) {
      this.#host.failed(error);
    }
  }

  #leave(key: string): void {
    this.#stopJoining(key);
    this.#drop(key);
  }

  #drop(key: string): void {
    const membership = this.#memberships.get(key);
    this.#memberships.delete(key);
    membership?.room.remove(this);
  }

  dropped(room: Room): void {
    if (this.#memberships.get(room.key)?.room !== room) return;
    this.#memberships.delete(room.key);
    this.send(frameOf("left", { k: room.key, code: "ERR_UNAVAILABLE" }));
  }

  // ── rights ──

  isOf(target: Target): boolean {
    const { id, session, client, user } = this.listener;
    const own = { listener: id, session, client, user } as Readonly<Record<string, unknown>>;
    const [[name, value] = []] = Object.entries(target);
    return name !== undefined && value !== undefined && own[name] === value;
  }

  /**
   * Takes it out of a channel now; a join that is under way is authorised again. Resolves when its
   * page has received all that was on its way, or can't receive anything any more.
   */
  removeFrom(key: string): Promise<void> {
    this.#rights += 1;
    const membership = this.#memberships.get(key);
    // Whoever removes it once more waits for the same confirmation.
    if (membership === undefined) return this.#removals?.get(key)?.done ?? Promise.resolve();
    membership.isWithdrawn = true;
    this.#drop(key);
    const { promise, resolve: confirm } = Promise.withResolvers<void>();
    const id = randomBytes(9).toString("base64url");
    const removal: Removal = { id, confirm, done: this.#removed(key, id, promise) };
    this.#removals ??= new Map();
    this.#removals.set(key, removal);
    return removal.done.finally(() => {
      if (this.#removals?.get(key) === removal) this.#removals.delete(key);
    });
  }

  async #removed(key: string, i: string, confirmed: Promise<void>): Promise<void> {
    if (this.#confirms) {
      this.send(frameOf("left", { k: key, code: "ERR_REFUSED", i }));
      const isOut = Promise.race([confirmed, this.#end]).then(() => true);
      if (await within(isOut, CONFIRM)) return;
    }
    // It comes back, and joins whatever it still may.
    this.#link.close(4403, "not confirmed");
    // A page that is silent still has on its way what was sent to it.
    const cancel = after(this.#confirms ? 0 : CLOSE, () => this.#link.cut(), { unref: true });
    await this.#end;
    cancel();
  }

  #confirm(id: string): void {
    for (const removal of this.#removals?.values() ?? []) if (removal.id === id) removal.confirm();
  }

  get #end(): Promise<void> {
    this.#ended ??= Promise.withResolvers();
    if (this.#hasEnded) this.#ended.resolve();
    return this.#ended.promise;
  }

  /** Checks every right again. One that can't be checked holds for two minutes. */
  async revalidate(): Promise<void> {
    this.#rights += 1;
    await Promise.all(
      [...this.#memberships].map(async ([key, membership]) => {
        const isAllowed = await this.#isStillAllowed(membership);
        if (!isAllowed && this.#memberships.get(key) === membership) await this.removeFrom(key);
      }),
    );
  }

  async #isStillAllowed(membership: Membership): Promise<boolean> {
    const { room, params } = membership;
    try {
      const isAllowed = await this.#isAllowed(room.channel, params);
      membership.doubtedSince = undefined;
      return isAllowed;
    } catch (error) {
      if (exposed(error) !== undefined) return false;
      this.#host.failed(error);
      membership.doubtedSince ??= performance.now();
      return performance.now() - membership.doubtedSince < DOUBT;
    }
  }

  /** Loads the session of a token. Frames after the token belong to that session, so they wait. */
  async #recognise(token: string | undefined): Promise<void> {
    this.#waiting = [];
    const answer = await this.listener.recognise(token);
    this.send(frameOf("session", answer));
    const waiting = this.#waiting;
    this.#waiting = undefined;
    void this.revalidate().catch((error) => this.#host.failed(error));
    for (const [at, frame] of waiting.entries()) {
      if (this.#isOver) return;
      this.#take(frame);
      // Another token among them makes the rest wait again.
      if (this.#waiting !== undefined) {
        (this.#waiting as Incoming[]).push(...waiting.slice(at + 1));
        return;
      }
    }
  }

  // ── calls ──

  async #call({ k, i, m, d, s: since }: CallFrame): Promise<void> {
    const fail = (code: string, message?: string): void =>
      void this.send(frameOf("failed", { i, code, message }));
    const membership = this.#memberships.get(k);
    if (membership === undefined) return fail("ERR_NOT_JOINED", "join the channel first");
    const { calls = {} } = membership.room.channel.config;
    const call = Object.hasOwn(calls, m) ? calls[m] : undefined;
    if (call === undefined) return fail("ERR_UNKNOWN", "the channel has no such call");
    if (this.#calls >= this.#host.settings.maxCalls) return fail("ERR_LIMIT", "too many calls");
    this.#calls += 1;
    try {
      // Only by whom it knows a page could ask for another's result: the id is a secret of the page.
      const id = createHash("sha256").update(`${k}\n${m}\n${i}`).digest("base64url");
      const outcome = await this.#host.once(id, () => this.#handle(membership, call, d), since);
      if (outcome === undefined) fail("ERR_OUTCOME_UNKNOWN", "the call may have been handled");
      else if (!outcome.ok) fail(outcome.code, outcome.message);
      else this.send(new Frame(`{"t":"result","i":${JSON.stringify(i)}${data(outcome.json)}}`));
    } catch (error) {
      fail("ERR_UNAVAILABLE", "the call was not handled");
      this.#host.failed(error);
    } finally {
      this.#calls -= 1;
    }
  }

  async #handle(
    { room, params, isWithdrawn }: Membership,
    call: NonNullable<NonNullable<AnyChannel["config"]["calls"]>[string]>,
    given: unknown,
  ): Promise<Outcome> {
    // It has waited for its turn in all processes.
    if (isWithdrawn || ENDED.has(this.listener.endReason)) {
      return { ok: false, code: "ERR_REFUSED", message: undefined };
    }
    try {
      const input = await check(call.input, given, "the input");
      const { key, channel } = room;
      const result: unknown = await call.handle(input, {
        ...{ session: this.visitor, params, signal: this.listener.signal },
        publish: (event: string, it: unknown, options?: PublishOptions) =>
          this.#host.publish(key, channel, event, it, options),
      });
      return { ok: true, json: JSON.stringify(result) };
    } catch (error) {
      const message = exposed(error);
      if (message === undefined) this.#host.failed(error);
      return { ok: false, code: codeOf(error, message), message };
    }
  }

  /** The listener, or the line of a tab that shares it, has ended. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#host.connections.delete(this);
    this.#joining = undefined;
    for (const key of [...this.#memberships.keys()]) this.#drop(key);
    this.#ended?.resolve();
  }

  close(code: number, reason: string): void {
    this.#link.close(code, reason);
  }
}

const data = (json: string | undefined): string => (json === undefined ? "" : `,"d":${json}`);

/** The code of an error that may be shown; of any other one, that the handler has failed. */
function codeOf(error: unknown, message: string | undefined): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return message !== undefined && typeof code === "string" ? code : "ERR_CALL_FAILED";
}
