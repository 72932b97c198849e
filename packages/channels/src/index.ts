export {
  type AnyChannel,
  type CallConfig,
  type CallContext,
  type Channel,
  type ChannelConfig,
  channel,
  type EventConfig,
  type JoinContext,
  type ParamsOf,
  type,
  type Visitor,
} from "./channel.ts";
export { type Channels, createChannels, type EventsOf, type RetainedEvent } from "./channels.ts";
export { ChannelsError, type ChannelsErrorCode } from "./errors.ts";
export type { ChannelsOptions, Declared } from "./options.ts";
