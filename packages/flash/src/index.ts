export { FlashError, type FlashErrorCode } from "./errors.ts";
export { type Flash, type FlashAt, flashOf } from "./flash.ts";
export type { FlashLevel, FlashMessage, FlashText } from "./message.ts";
export type { FlashDropped, FlashSession } from "./messages.ts";
export { type FlashMiddleware, type FlashOptions, flash } from "./middleware.ts";
