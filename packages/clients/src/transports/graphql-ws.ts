import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { RATE_DEFAULTS } from "@lanai/connection/rate";
import type { ExtendableContext } from "koa";
import type { Clients } from "../clients.ts";
import type { Listener } from "../listener.ts";
import type { AttachOptions } from "../options.ts";
import { transportsOf } from "./context.ts";

/** The part of a connection of graphql-ws that is used here. */
export interface GraphqlConnection {
  readonly connectionParams?: Readonly<Record<string, unknown>> | undefined;
  readonly extra: { readonly request: IncomingMessage };
  readonly subscriptions: Record<string, unknown>;
}

/** The context of the operations of a live connection. */
export interface GraphqlLiveContext {
  readonly listener: Listener;
  /** The context of the request that became the connection: its head has left. */
  readonly ctx: ExtendableContext;
}

/** Options of `graphqlWs`. */
export interface GraphqlWsOptions extends Omit<AttachOptions, "connect" | "kind" | "protocols"> {
  /** The name of the token in `connectionParams`, and in the reply to them. Default: `Session-ID`. */
  readonly param?: string;
}

/** The hooks for `useServer` of graphql-ws, and the function of its route. */
export interface GraphqlWs {
  /**
   * Makes the request a connection of graphql-ws. `server` is the `WebSocketServer` that was given
   * to `useServer`; it is neither listening nor asked to upgrade.
   *
   * @throws {ClientsError} `ERR_CLIENTS_UNKNOWN_CLIENT`, a 401 instead of the 101.
   */
  attach(ctx: ExtendableContext, server: EventEmitter): Promise<Listener>;
  /** The hooks for `useServer({ schema, ...hooks }, server)`. */
  readonly hooks: {
    onConnect(connection: GraphqlConnection): Promise<Record<string, unknown> | true>;
    onSubscribe(connection: GraphqlConnection): void;
    context(connection: GraphqlConnection): GraphqlLiveContext;
  };
}

interface Live extends GraphqlLiveContext {
  connection: GraphqlConnection | undefined;
}

/**
 * Binds graphql-ws to the listeners: its connections are reached, and end, like all others. A
 * subscription yields what is sent to its listener: `subscribe: (_, __, { listener }) =>
 * listener.events("auth")`.
 */
export function graphqlWs(clients: Clients, options: GraphqlWsOptions = {}): GraphqlWs {
  const { param = "Session-ID", ...attachOptions } = options;
  const lives = new WeakMap<IncomingMessage, Live>();
  const liveOf = ({ extra }: GraphqlConnection): Live => {
    const live = lives.get(extra.request);
    if (live) return live;
    throw new Error("this connection was not made by graphqlWs(clients).attach(ctx, server)");
  };

  return {
    async attach(ctx, server) {
      let begin = () => {};
      const listener = await clients.attach(ctx, {
        ...attachOptions,
        kind: "graphql",
        async connect() {
          const { upgrade } = transportsOf(ctx);
          if (upgrade === undefined) throw new TypeError("graphqlWs needs @lanai/websocket");
          // graphql-ws reads from the socket and writes to it, so that the socket has the limits.
          const socket = await upgrade.call(ctx, {
            protocols: ["graphql-transport-ws"],
            rate: { ...RATE_DEFAULTS, ...attachOptions.rate },
            ...(attachOptions.queue && { queue: attachOptions.queue }),
          });
          begin = () => server.emit("connection", socket, ctx.req);
          return {
            drain: (reason, code) => socket.finish(code, reason),
            end(reason, code) {
              if (reason !== "left") socket.close(code, reason);
              endSubscriptions(lives.get(ctx.req)?.connection);
            },
          };
        },
      });
      lives.set(ctx.req, { listener, ctx, connection: undefined });
      if (!listener.endReason) begin();
      return listener;
    },

    hooks: {
      async onConnect(connection) {
        const live = liveOf(connection);
        live.connection = connection;
        const { [param]: given } = connection.connectionParams ?? {};
        const { token } = await live.listener.recognise(
          typeof given === "string" && given !== "" ? given : undefined,
        );
        return token === undefined ? true : { [param]: token };
      },

      onSubscribe(connection) {
        liveOf(connection).listener.touch();
      },

      context(connection) {
        const { listener, ctx } = liveOf(connection);
        return { listener, ctx };
      },
    },
  };
}

/** Now, not when the connection is cut: a client that ignores the close frame hears nothing more. */
function endSubscriptions(connection: GraphqlConnection | undefined): void {
  for (const [id, subscription] of Object.entries(connection?.subscriptions ?? {})) {
    delete connection?.subscriptions[id];
    const { return: end } = (subscription ?? {}) as Partial<AsyncIterator<unknown>>;
    void end?.call(subscription)?.catch(() => {});
  }
}
