export {
  beforeHead,
  connectionSignal,
  followSocket,
  headLeft,
  keepHeaders,
  leaveHead,
  type ResponseContext,
} from "./connection.ts";
