export type { Client, ClientsMiddleware } from "./browser-names.ts";
export {
  type AttachOptions,
  type Clients,
  createClients,
  type Delivery,
  type Termination,
} from "./clients.ts";
export type { Device, Devices } from "./devices.ts";
export type { EndReason } from "./end-reason.ts";
export { ClientsError, type ClientsErrorCode, type ClientsErrorOptions } from "./errors.ts";
export type { ClientsEvent, ClientsEventName } from "./events.ts";
export {
  type GraphqlConnection,
  type GraphqlLiveContext,
  type GraphqlWs,
  type GraphqlWsOptions,
  graphqlWs,
} from "./graphql-ws.ts";
export type { Listener, OutgoingMessage, Page, Sink } from "./listener.ts";
export type { ClientsOptions } from "./options.ts";
export type { QueueOptions } from "./outgoing.ts";
export type { Empty, Presence, PresenceEvents, PresentListener } from "./presence.ts";
export type { Target } from "./target.ts";
