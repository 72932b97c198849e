export { closedError, notRetained, streamOverlap } from "./errors.ts";
export { emitEvent } from "./events.ts";
export { Inbox, type InboxOptions, pushAll, validateSubscribe } from "./inbox.ts";
export { knownOptions, numberOption } from "./known-options.ts";
export { bytesOf, textOf, validatePublish } from "./payload.ts";
export {
  type StreamSettings,
  streamOf,
  streamSettings,
  validateHistory,
} from "./stream-settings.ts";
export {
  covers,
  isPattern,
  matchesSubject,
  overlaps,
  validateSubject,
} from "./subject.ts";
export { SubjectIndex } from "./subject-index.ts";
