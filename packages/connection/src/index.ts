export {
  beforeHead,
  connectionSignal,
  followSocket,
  forbidSharedCaching,
  headLeft,
  keepHeaders,
  leaveHead,
  onConnectionEnd,
  type ResponseContext,
} from "./connection.ts";
