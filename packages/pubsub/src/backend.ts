export { ConcurrentEnsures } from "./calls/concurrent-ensures.ts";
export { bytesOf, textOf, validatePublish } from "./calls/payload.ts";
export {
  type StreamSettings,
  streamOf,
  streamSettings,
  validateHistory,
} from "./calls/stream-settings.ts";
export { closedError, cursorLost, notRetained, streamOverlap } from "./errors.ts";
export { emitEvent } from "./events.ts";
export { hasStreams } from "./streams.ts";
export { asLibraryCall, isLibraryCall, libraryPubSub } from "./subjects/reserved.ts";
export {
  covers,
  isPattern,
  matchesSubject,
  overlaps,
  validateCall,
  validateSubject,
} from "./subjects/subject.ts";
export { SubjectIndex } from "./subjects/subject-index.ts";
export { Inbox, type InboxOptions, pushAll } from "./subscription/inbox.ts";
export { validateSubscribe } from "./subscription/subscribe-options.ts";
