export { FlashError, type FlashErrorCode } from "./errors.ts";
export { type Flash, type FlashAt, type FlashSession, flashOf } from "./flash.ts";
export type { FlashLevel, FlashMessage, FlashText } from "./message.ts";
export type { FlashDropped } from "./messages.ts";
export { type FlashMiddleware, flash } from "./middleware.ts";
export type { FlashOptions } from "./options.ts";
