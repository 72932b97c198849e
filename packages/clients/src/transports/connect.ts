import type { ExtendableContext } from "koa";
import { isUpgrade } from "../browsers/browser-names.ts";
import { ClientsError } from "../errors.ts";
import { transportsOf } from "./context.ts";
import { eventStreamSink } from "./event-stream-sink.ts";
import type { Sink } from "./sink.ts";
import { WebSocketSink } from "./websocket-sink.ts";

/**
 * Connects an upgrade as a WebSocket, and all else as an event stream.
 *
 * @throws {ClientsError} `ERR_CLIENTS_NO_TRANSPORT` if the app has no middleware for it.
 */
export async function connect(
  ctx: ExtendableContext,
  protocols?: readonly string[],
): Promise<Sink> {
  const transports = transportsOf(ctx);
  if (isUpgrade(ctx) && transports.upgrade) {
    return new WebSocketSink(await transports.upgrade(protocols && { protocols }));
  }
  if (transports.sse) return eventStreamSink(await transports.sse());
  throw new ClientsError(
    "ERR_CLIENTS_NO_TRANSPORT",
    "attach(ctx) needs attachUpgrade(server, app) of @lanai/websocket, or app.use(sse()) of " +
      "@lanai/sse, or a connect of its own",
  );
}
