import type { Clients } from "@lanai/clients";
import {
  anything,
  checkOptions,
  duration,
  flag,
  integer,
  oneOf,
  type Rules,
  required,
  text,
  withMethods,
} from "@lanai/connection/options";
import { checkOrigins } from "@lanai/connection/origin";
import { RATE, RATE_DEFAULTS, type RateOptions } from "@lanai/connection/rate";
import type { Bus } from "@lanai/pubsub";
import { hasStreams } from "@lanai/pubsub/backend";
import type { AnyChannel } from "./channel.ts";

/** The channels of an app, by their patterns. */
export type Declared = Readonly<Record<string, AnyChannel>>;

/** Options of `createChannels`. `clients`, `pubsub` and `channels` are required. */
export interface ChannelsOptions<Channels extends Declared> {
  /** The clients that `createClients` has made. They attach the listeners. */
  readonly clients: Clients;
  /** The bus that `createPubSub` has made. Its streams decide which channels are retained. */
  readonly pubsub: Bus;
  /** The channels, by patterns such as `room.:id`. */
  readonly channels: Channels;
  /**
   * The first token of the channels' subjects: `ensureStream` of `<prefix>.>` retains them all.
   * Ephemeral events are on `<prefix>-now.>`, which the app's stream should not retain. Default:
   * `channels`.
   */
  readonly prefix?: string;
  /**
   * The origins whose pages may use the fallback, or `"any"`, as of `attachUpgrade`, which has to be
   * given the same. Default: the origin that the request was sent to.
   */
  readonly origins?: readonly string[] | "any";
  /**
   * The activity that keeps a session from idling out: that its page is connected, or only its
   * frames, of which a ping is none. Default: `open`.
   */
  readonly idle?: "open" | "messages";
  /**
   * The rate limit of what a page sends. Defaults: 500 `messages` and 1 MiB of `bytes` a second, with
   * `overflow: "pause"`.
   */
  readonly rate?: RateOptions;
  /** Takes connections of browsers without a client cookie and without a session. Default: false. */
  readonly anonymous?: boolean;
  /** The interval at which each member's right is checked. Milliseconds, from 100. Default: 30,000. */
  readonly revalidateInterval?: number;
  /** The longest that a call is handled, and waits for the bus. Milliseconds. Default: 30,000. */
  readonly callTimeout?: number;
  /** The longest that `remove` waits for the other processes. Milliseconds. Default: 5,000. */
  readonly removeTimeout?: number;
  /** The interval of heartbeats between processes. Milliseconds, from 50. Default: 5,000. */
  readonly nodeInterval?: number;
  /** The most messages of a channel that a process keeps. From 1 to 10,000. Default: 256. */
  readonly recent?: number;
  /** The most channels that a listener is in. From 1 to 10,000. Default: 100. */
  readonly maxChannels?: number;
  /** The most joins of a listener in a second, on average. From 1 to 10,000. Default: 20. */
  readonly joinRate?: number;
  /** The most calls of a listener without a result. From 1 to 10,000. Default: 100. */
  readonly maxCalls?: number;
  /** The longest parameter, in UTF-16 code units. From 1 to 512. Default: 128. */
  readonly maxParamLength?: number;
  /** The largest frame of a page, in UTF-16 code units. From 1,024. Default: 65,536. */
  readonly maxFrame?: number;
}

export type Settings = Required<Omit<ChannelsOptions<Declared>, "channels" | "origins" | "rate">> &
  Pick<ChannelsOptions<Declared>, "origins"> & { readonly rate: Required<RateOptions> };

const RULES: Rules<ChannelsOptions<Declared>> = {
  clients: required(withMethods("what createClients has made", "attach", "middleware")),
  pubsub: required(withMethods("what createPubSub has made", "publish", "subscribe", "history")),
  channels: anything,
  prefix: text(
    "letters, digits, _ and - between dots, at most 64",
    /^(?=.{1,64}$)[\w-]+(?:\.[\w-]+)*$/,
  ),
  origins: anything,
  idle: oneOf("open", "messages"),
  rate: RATE,
  anonymous: flag,
  revalidateInterval: duration(100),
  callTimeout: duration(1),
  removeTimeout: duration(1),
  nodeInterval: duration(50),
  recent: integer(1, 10_000, "messages"),
  maxChannels: integer(1, 10_000),
  joinRate: integer(1, 10_000),
  maxCalls: integer(1, 10_000),
  maxParamLength: integer(1, 512),
  maxFrame: integer(1_024, 2 ** 30),
};

/** @throws TypeError or RangeError for an option that doesn't exist or can't be. */
export function settingsOf({ channels: _, ...options }: ChannelsOptions<Declared>): Settings {
  const { channels: __, ...rules } = RULES;
  checkOptions("createChannels", options, rules as never);
  const { origins, pubsub } = options;
  if (origins !== undefined && origins !== "any") checkOrigins("createChannels", origins, true);
  if (!hasStreams(pubsub.backend)) {
    throw new TypeError(
      "createChannels: pubsub must have a backend with streams, such as memoryPubSub(), redisPubSub or natsPubSub",
    );
  }
  return {
    ...{ prefix: "channels", anonymous: false, revalidateInterval: 30_000, callTimeout: 30_000 },
    ...{ removeTimeout: 5_000, nodeInterval: 5_000, recent: 256, maxChannels: 100, joinRate: 20 },
    ...{ maxCalls: 100, maxParamLength: 128, maxFrame: 65_536, idle: "open" },
    ...options,
    rate: { ...RATE_DEFAULTS, ...options.rate },
  };
}
