import { createHash, randomBytes } from "node:crypto";
import type { Target } from "@lanai/clients";
import type { PublishOptions } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { Claims, type Outcome } from "./bus/claims.ts";
import { Notes } from "./bus/notes.ts";
import { Processes } from "./bus/processes.ts";
import type { AnyChannel } from "./channel.ts";
import { check } from "./check.ts";
import type { Connection, ConnectionHost, FoundChannel } from "./connection.ts";
import { ChannelsError } from "./errors.ts";
import type { Declared, Settings } from "./options.ts";
import { Pattern } from "./pattern.ts";
import { Posts } from "./posts.ts";
import { membersSubject, NOBODY } from "./room/presence.ts";
import { Room } from "./room/room.ts";
import { Unsent } from "./room/unsent.ts";

/** The greatest age of a note, in milliseconds: claims are retained for two minutes. */
const NOTE_AGE = 180_000;
/** Connections whose rights are checked at once. */
const AT_ONCE = 16;

/** The channels of this process. */
export class Hub implements ConnectionHost {
  readonly settings: Settings;
  readonly processes: Processes;
  readonly posts: Posts;
  readonly connections: Set<Connection> = new Set();
  readonly failed: (error: unknown) => void;
  readonly #claims: Claims;
  readonly #notes: Notes;
  readonly #scope: string;
  readonly #declared = new Map<string, { pattern: Pattern; channel: AnyChannel }>();
  readonly #rooms = new Map<string, Room>();
  readonly #unsent = new Unsent((key) => this.#sendMembers(key));
  #checking: Promise<void> | undefined;

  constructor(settings: Settings, declared: Declared, failed: (error: unknown) => void) {
    this.settings = settings;
    this.failed = failed;
    for (const [text, channel] of Object.entries(declared)) {
      const pattern = new Pattern(text, settings.maxParamLength);
      this.#declared.set(text, { pattern, channel });
    }
    const { pubsub, prefix, nodeInterval: interval, removeTimeout, callTimeout } = settings;
    const node = randomBytes(8).toString("base64url");
    const seal = settings.clients.sealNotes({ node, purpose: "@lanai/channels", window: NOTE_AGE });
    const notes = new Notes(libraryPubSub(pubsub, "channels"), seal);
    this.#notes = notes;
    // Apps that share a bus have prefixes of their own.
    const scope = createHash("sha256").update(prefix).digest("base64url").slice(0, 16);
    this.#scope = scope;
    this.#claims = new Claims({ notes, scope, timeout: callTimeout });
    this.processes = new Processes({
      ...{ node, notes, scope, interval, removeTimeout },
      onRemove: (target, key) => this.#remove(target, key),
      onLost: (node) => {
        for (const room of this.#rooms.values()) room.loseNode(node);
      },
      onMissed: () => void this.revalidate(),
      onRecovered: async () => {
        await this.revalidate();
        for (const room of this.#rooms.values()) room.askForMembers();
      },
      onPosted: (note) => this.posts.take(note),
    });
    this.posts = new Posts(node, settings.rate);
  }

  get size(): { readonly channels: number; readonly listeners: number } {
    return { channels: this.#rooms.size, listeners: this.connections.size };
  }

  find(text: string, params: unknown): FoundChannel | undefined {
    const declared = this.#declared.get(text);
    if (declared === undefined) return undefined;
    try {
      const key = declared.pattern.key(params);
      return { key, channel: declared.channel, params: params as Readonly<Record<string, string>> };
    } catch {
      return undefined;
    }
  }

  /** @throws ChannelsError `ERR_CHANNELS_UNKNOWN`. */
  of(text: string, params: unknown): { key: string; channel: AnyChannel } {
    const declared = this.#declared.get(text);
    if (declared) return { key: declared.pattern.key(params), channel: declared.channel };
    const known = [...this.#declared.keys()].join(", ");
    throw new ChannelsError(
      "ERR_CHANNELS_UNKNOWN",
      `no channel is declared as "${text}": there are ${known}`,
    );
  }

  room(key: string, channel: AnyChannel): Room {
    const known = this.#rooms.get(key);
    if (known) return known;
    const { pubsub: bus, prefix, recent } = this.settings;
    const room = new Room({
      ...{ key, channel, bus, prefix, recent },
      ...{ notes: this.#notes, scope: this.#scope },
      node: this.processes.node,
      permission: () => this.processes.permission(),
      onEnd: (it) => this.#rooms.get(key) === it && this.#rooms.delete(key),
      onError: this.failed,
      onUnsent: () => this.#unsent.add(key),
    });
    this.#rooms.set(key, room);
    return room;
  }

  /** @throws ChannelsError for an event or data that can't be, or what the bus rejects with. */
  async publish(
    key: string,
    channel: AnyChannel,
    name: string,
    data: unknown,
    options: PublishOptions = {},
  ): Promise<void> {
    const { events } = channel.config;
    const event = Object.hasOwn(events, name) ? events[name] : undefined;
    if (event === undefined) {
      const known = Object.keys(events).join(", ");
      throw new ChannelsError("ERR_CHANNELS_UNKNOWN", `the events of the channel are ${known}`);
    }
    const { schema, ephemeral } = event;
    const value: unknown = await check(schema, data, `the data of "${name}"`);
    const { prefix, pubsub } = this.settings;
    const subject = `${prefix}${ephemeral ? "-now" : ""}.${key}`;
    await pubsub.publish(subject, { e: name, d: value }, options);
  }

  /** The declared events among the last that are retained. */
  async history(key: string, channel: AnyChannel, limit: number): Promise<object[]> {
    const { prefix, pubsub } = this.settings;
    const messages = await pubsub.history(`${prefix}.${key}`, limit);
    return messages.flatMap(({ data, time }) => {
      const { e: event, d } = Object(data) as { e?: unknown; d?: unknown };
      const isDeclared = typeof event === "string" && Object.hasOwn(channel.config.events, event);
      return isDeclared ? [{ event, data: d, time }] : [];
    });
  }

  #sendMembers(key: string): void {
    const room = this.#rooms.get(key);
    const again = (): void => this.#unsent.add(key);
    if (room) room.askForMembers();
    else this.#notes.publish(membersSubject(this.#scope, key), NOBODY).catch(again);
  }

  claimsPlace(): Promise<string | undefined> {
    return this.#claims.place();
  }

  once(id: string, handle: () => Promise<Outcome>, since?: string): Promise<Outcome | undefined> {
    return this.#claims.once(id, handle, since);
  }

  async #remove(target: Target, key: string): Promise<void> {
    const whose = [...this.connections].filter((it) => it.isOf(target));
    await Promise.all(whose.map((it) => it.removeFrom(key)));
  }

  /** Checks the rights of all. One check at a time: whoever asks meanwhile waits for another one. */
  async revalidate(): Promise<void> {
    while (await this.#checking) await this.#checking;
    this.#checking = this.#revalidate();
    try {
      await this.#checking;
    } finally {
      this.#checking = undefined;
    }
  }

  async #revalidate(): Promise<void> {
    const left = [...this.connections];
    const worker = async (): Promise<void> => {
      for (let next = left.pop(); next; next = left.pop()) {
        await next.revalidate().catch(this.failed);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  async close(): Promise<void> {
    this.#unsent.close();
    await Promise.allSettled([...this.#rooms.values()].map((it) => it.close()));
    this.#rooms.clear();
    await Promise.allSettled([this.#claims.close(), this.processes.close()]);
  }
}
