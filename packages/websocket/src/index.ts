export type { Upgrades } from "./attach-upgrade.ts";
export { attachUpgrade, type UpgradableApp, type UpgradableServer } from "./attach-upgrade.ts";
export {
  WebSocketError,
  type WebSocketErrorCode,
  type WebSocketErrorOptions,
} from "./errors.ts";
export type { AttachUpgradeOptions, OverflowPolicy, UpgradeOptions } from "./options.ts";
export type { UpgradedSocket } from "./upgraded-socket.ts";
