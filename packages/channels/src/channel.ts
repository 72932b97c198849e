import type { PublishOptions, StandardSchema } from "@lanai/pubsub";

/** The user and the session of a listener, at the moment. */
export interface Visitor {
  /** The signed-in user. */
  readonly userId: string | undefined;
  /** The public id of the session. */
  readonly publicId: string | undefined;
  /** The public id of the browser. */
  readonly client: string | undefined;
  /** The id of the listener. */
  readonly listener: string;
}

/** The parameters of a pattern, by name. Each is a text of 1 to `maxParamLength` characters. */
// biome-ignore lint/suspicious/noExplicitAny: an index signature would make each name `undefined` too.
type AnyParams = Readonly<Record<string, any>>;

/** The names of the parameters of a pattern: `id` of `room.:id`. */
export type ParamsOf<Pattern> = Pattern extends string
  ? { readonly [Name in NamesOf<Pattern>]: string }
  : never;
type NamesOf<Pattern extends string> = Pattern extends `${infer Head}.${infer Rest}`
  ? NamesOf<Head> | NamesOf<Rest>
  : Pattern extends `:${infer Name}`
    ? Name
    : never;

/** The context of a listener in a channel: its session, and the parameters of the channel. */
export interface JoinContext {
  /** The user and the session of the listener, at the moment. */
  readonly session: Visitor;
  /** The parameters of the channel, by name: `id` of `room.:id`. */
  readonly params: AnyParams;
}

/** The context of a page's call, passed to `handle`. */
export interface CallContext<Events> extends JoinContext {
  /** Aborts when the listener that called has ended. */
  readonly signal: AbortSignal;
  /** Publishes on the channel of the call, as `channels.publish` does. */
  publish<Name extends keyof Events & string>(
    name: Name,
    data: Events[Name],
    options?: PublishOptions,
  ): Promise<void>;
}

/** The declaration of an event of a channel. */
export interface EventConfig<T> {
  /** The schema of the event's data: any Standard Schema (zod, valibot, arktype). */
  readonly schema: StandardSchema<T>;
  /** Never retained: a page that isn't connected misses it, and no gap is reported. Default: false. */
  readonly ephemeral?: boolean;
}

/** The declaration of a channel, passed to `channel`: rights, events, calls and presence. */
export interface ChannelConfig<Events, Inputs, Calls, Meta> {
  /**
   * Whether a listener may be in the channel: called at each join, every `revalidateInterval`, and
   * after a change of its session. `false` refuses; a thrown error with `expose` gives its reason.
   */
  readonly join: (context: JoinContext) => boolean | Promise<boolean>;
  /** The events of the channel, by name. */
  readonly events: { readonly [Name in keyof Events]: EventConfig<Events[Name]> };
  /** The calls of the channel, by name. Each is handled at most once, also if a page sends it again. */
  readonly calls?: { readonly [Name in keyof Inputs]: CallConfig<Events, Inputs[Name]> } & Calls;
  /** Returns what the others in the channel see of a member. Default: the channel has no presence. */
  readonly presence?: (context: JoinContext) => Meta | Promise<Meta>;
  /** The most retained messages that a first join receives. From 0 to 1,000. Default: 100. */
  readonly maxReplay?: number;
}

/** A call that a page makes. Its handler's result, or its error if that has `expose`, is the page's. */
export interface CallConfig<Events, Input> {
  /** The schema of the call's input: any Standard Schema. */
  readonly input: StandardSchema<Input>;
  /** Handles the call. Its result is sent to the page, and must be JSON. */
  readonly handle: (input: Input, context: CallContext<Events>) => unknown;
}

type OutputOf<Call> = Call extends { readonly handle: (...args: never[]) => infer Output }
  ? Awaited<Output>
  : never;

declare const types: unique symbol;

/** A declared channel. Its types are those of the page's side too. */
export interface Channel<Events, Inputs, Calls, Meta> {
  readonly config: ChannelConfig<Events, Inputs, Calls, Meta>;
  readonly [types]?: {
    events: Events;
    inputs: Inputs;
    outputs: { [Name in keyof Calls]: OutputOf<Calls[Name]> };
    meta: Meta;
  };
}

/** A channel of any types: every channel is assignable to it. */
export interface AnyChannel {
  // biome-ignore lint/suspicious/noExplicitAny: the types of a channel are known where it is declared.
  readonly config: ChannelConfig<any, any, any, any>;
}

/** Declares a channel of `createChannels`. */
export const channel = <Events, Inputs = object, Calls extends object = object, Meta = undefined>(
  config: ChannelConfig<Events, Inputs, Calls, Meta>,
): Channel<Events, Inputs, Calls, Meta> => ({ config });

/** A schema that checks nothing at run time: the type alone. */
export const type = <T>(): StandardSchema<T> => ({
  "~standard": {
    version: 1,
    vendor: "lanai",
    validate: (value) => ({ value: value as T }),
  },
});
