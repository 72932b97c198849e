import type { EndReason } from "./end-reason.ts";

/** The data of each event, by its name: the type parameter of `createClients`. */
export type EventMap = Readonly<Record<string, unknown>>;

/** The scope of one page of a single-page app. */
export interface Page {
  /** Aborts when the page ends, or the listener. Pass it as `signal` to subscriptions of the page. */
  readonly signal: AbortSignal;
  end(): void;
}

/** One live connection: a tab's WebSocket or event stream. */
export interface Listener<Events extends object = EventMap> {
  readonly id: string;
  /** `websocket`, `event-stream`, `graphql`, or the `kind` that `attach` was given. */
  readonly kind: string;
  readonly since: Date;
  /** The public id of its browser. */
  readonly client: string | undefined;
  /** The public id of its session. */
  readonly session: string | undefined;
  /** The signed-in user. */
  readonly user: string | undefined;
  /** Aborts when the listener ends. */
  readonly signal: AbortSignal;
  /** The reason of its end; `undefined` while it is live. */
  readonly endReason: EndReason | undefined;
  /** Resolves to the reason when the listener has ended. Never rejects. */
  readonly ended: Promise<EndReason>;
  /**
   * Sends to this listener alone. Does nothing once it has ended.
   *
   * @throws TypeError for an event that can't be sent, `ERR_CLIENTS_ENCODE` for data that is no JSON.
   */
  send<E extends keyof Events & string>(event: E, ...data: DataOf<Events[E]>): void;
  /**
   * Calls `handler` with the data of each message of that name from the browser, in their order. The
   * first are those that came before there was a handler of that name, while the request's handler ran.
   * The type of the data is what the page claims: check it. What the handler throws is emitted as the
   * app's `error` event.
   *
   * @returns A function that removes the handler.
   */
  on<E extends keyof Events & string>(event: E, handler: (data: Events[E]) => unknown): () => void;
  /**
   * Returns what is sent to this listener under that name from now on, also from another process. Its
   * `return` settles at once, unlike that of an async generator that waits for an event.
   *
   * @param options - `first`: yielded before all others, such as the present state.
   */
  events<T = unknown>(event: string, options?: { readonly first?: T }): AsyncIterableIterator<T>;
  /** Opens the scope of a page, and ends that of the page before. The connection stays. */
  page(): Page;
  /**
   * Sends the browser to another page: its script receives `redirect` with `{ location }`.
   *
   * @throws TypeError for anything but a path of this site or an address of http or https.
   */
  redirect(location: string): void;
  /**
   * Verifies a token that came over this connection. From here on the listener belongs to the token's
   * session, and ends with it. Without a token, a tab that has no session gets one, if `tokenHeader` is
   * set. A token that is refused ends the listener.
   *
   * @returns The token to use from now on, if it is another.
   */
  recognise(token?: string): Promise<{ readonly token?: string }>;
  /** Records that the browser has sent something, for `idle: "messages"`. */
  touch(): void;
  /** Ends the listener; its browser does not reconnect. */
  disconnect(): void;
}

/** The argument for an event's data, which may be left out where it may be `undefined`. */
type DataOf<Data> = undefined extends Data ? [data?: Data] : [data: Data];
