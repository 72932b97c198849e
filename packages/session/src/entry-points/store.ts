// `@lanai/session/store`: what the author of a store needs. Imports no Koa.
export { SessionError, type SessionErrorCode, sessionLimitError } from "../errors.ts";
export {
  type DestroyAllOptions,
  type IndexedStore,
  isIndexed,
  type ListOptions,
} from "../indexed-store.ts";
export {
  type CountedPage,
  type DestroyedPage,
  type DestroyPageOptions,
  isPaged,
  PAGE_SIZE,
  type Page,
  type PagedStore,
  type PageOptions,
} from "../paged-store.ts";
export { retryLater } from "../request/retry-later.ts";
export {
  type Async,
  type Awaitable,
  type Change,
  type CommitResult,
  type Ended,
  expiresAt,
  type Key,
  type Loaded,
  type NewRecord,
  type OwnerLimit,
  REMEMBERED_FOR,
  RENEWED_FOR,
  type SessionRecord,
  type Store,
} from "../store.ts";
export { changed, holds, withEntries } from "../stores/changed.ts";
export { undamaged } from "../stores/undamaged.ts";
