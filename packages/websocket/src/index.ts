export type { OverflowPolicy, QueueOptions } from "@lanai/connection/queue";
export {
  attachUpgrade,
  type UpgradableApp,
  type UpgradableServer,
  type Upgrades,
} from "./attach-upgrade.ts";
export { WebSocketError, type WebSocketErrorCode } from "./errors.ts";
export type { WebSocketEvent, WebSocketEventName } from "./events.ts";
export type {
  AttachUpgradeOptions,
  CloseOptions,
  UpgradeOptions,
} from "./options.ts";
export type { SharedText, UpgradedSocket } from "./upgraded-socket.ts";
