/** The channels that `createChannels` has made. Only their types are used. */
export interface Server {
  readonly types?: Readonly<Record<string, unknown>>;
}

type AllOf<S extends Server> = NonNullable<S["types"]>;
interface Parts {
  events: object;
  inputs: object;
  outputs: object;
  meta: unknown;
}
type PartsOf<C> = C extends { readonly config: unknown }
  ? Extract<NonNullable<C[Extract<keyof C, symbol>]>, Parts>
  : Untyped;
/** The types of a page that doesn't have the server's. */
interface Untyped {
  // biome-ignore lint/suspicious/noExplicitAny: whatever the page says it is.
  events: Readonly<Record<string, any>>;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the page says it is.
  inputs: Readonly<Record<string, any>>;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the page says it is.
  outputs: Readonly<Record<string, any>>;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the page says it is.
  meta: any;
}

/** The patterns of the server's channels, such as `room.:id`. */
export type Pattern<S extends Server> = keyof AllOf<S> & string;
export type EventsOf<S extends Server, P extends Pattern<S>> = PartsOf<AllOf<S>[P]>["events"];
export type InputsOf<S extends Server, P extends Pattern<S>> = PartsOf<AllOf<S>[P]>["inputs"];
export type OutputsOf<S extends Server, P extends Pattern<S>> = PartsOf<AllOf<S>[P]>["outputs"];
export type MetaOf<S extends Server, P extends Pattern<S>> = PartsOf<AllOf<S>[P]>["meta"];

/** The parameters of a pattern: `{ id: string }` of `room.:id`. */
export type Params<P extends string> = { readonly [Name in ParameterNames<P>]: string };
type ParameterNames<P extends string> = P extends `${infer Head}.${infer Rest}`
  ? ParameterNames<Head> | ParameterNames<Rest>
  : P extends `:${infer Name}`
    ? Name
    : never;

/** The arguments of a join after the pattern, which may have no parameters. */
export type JoinArguments<P extends string, Options> = [ParameterNames<P>] extends [never]
  ? [params?: Params<P>, options?: Options]
  : [params: Params<P>, options?: Options];
