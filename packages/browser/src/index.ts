export {
  type ConnectOptions,
  connect,
  type JoinOptions,
  type Line,
  type LineEvents,
  type LineState,
} from "./connect.ts";
export { LineError, type LineErrorCode } from "./errors.ts";
export type { Host, HostResponse, Socket, SocketClass, Transport } from "./host.ts";
export type { CallOptions, Gap, Member, Room, RoomEvents } from "./room.ts";
export type { Params, Pattern, Server } from "./types.ts";
