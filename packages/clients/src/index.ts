export type { OverflowPolicy, QueueOptions } from "@lanai/connection/queue";
export type { RateOptions } from "@lanai/connection/rate";
export type { Client, ClientsMiddleware } from "./browsers/browser-names.ts";
export type { Device, Devices } from "./browsers/devices.ts";
export type { Clients, Delivery, SendOptions, Termination } from "./clients.ts";
export { createClients } from "./create-clients.ts";
export type { EndReason } from "./end-reason.ts";
export { ClientsError, type ClientsErrorCode } from "./errors.ts";
export type { ClientsEvent, ClientsEventName } from "./events.ts";
export type { EventMap, Listener, Page } from "./listener.ts";
export type { AttachOptions, ClientsOptions, CloseOptions } from "./options.ts";
export type { Empty, Presence, PresenceEvents, PresentListener } from "./presence/types.ts";
export type { Everyone, Target } from "./target.ts";
export {
  type GraphqlConnection,
  type GraphqlLiveContext,
  type GraphqlWs,
  type GraphqlWsOptions,
  graphqlWs,
} from "./transports/graphql-ws.ts";
export type { Inbound, OutgoingMessage, SharedText, Sink } from "./transports/sink.ts";
