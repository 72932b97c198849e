import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { ExtendableContext } from "koa";
import type { AttachOptions, Clients } from "./clients.ts";
import type { Listener } from "./listener.ts";
import { transportsOf } from "./transports.ts";

/** What of a connection of graphql-ws is needed here. */
export interface GraphqlConnection {
  readonly connectionParams?: Readonly<Record<string, unknown>> | undefined;
  readonly extra: { readonly request: IncomingMessage };
  readonly subscriptions: Record<string, unknown>;
}

/** The context of what runs on a live connection. */
export interface GraphqlLiveContext {
  readonly listener: Listener;
  /** Of the request that became the connection: its head has left. */
  readonly ctx: ExtendableContext;
}

export interface GraphqlWsOptions extends Omit<AttachOptions, "connect" | "kind"> {
  /** Where in `connectionParams` the token is, and in the answer to them. Default: `Session-ID`. */
  readonly param?: string;
}

/** Hooks for `useServer` of graphql-ws, and what a route does. */
export interface GraphqlWs {
  /**
   * Makes the request a connection of graphql-ws. `server` is the `WebSocketServer` that was given
   * to `useServer`; it is neither listening nor asked to upgrade.
   *
   * @throws {ClientsError} `ERR_CLIENTS_UNKNOWN_CLIENT`, a 401 instead of the 101.
   */
  attach(ctx: ExtendableContext, server: EventEmitter): Promise<Listener>;
  /** For `useServer({ schema, ...hooks }, server)`. */
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
          const socket = await upgrade.call(ctx, { protocols: ["graphql-transport-ws"] });
          begin = () => server.emit("connection", socket, ctx.req);
          return {
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
