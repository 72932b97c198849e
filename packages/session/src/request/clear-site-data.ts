import { keepHeaders } from "@lanai/connection";
import { checkOptions, type Rules, value } from "@lanai/connection/options";
import type { ExtendableContext } from "koa";

/** A kind of this site's data that a browser can be asked to delete (W3C Clear Site Data, 3.1). */
export type SiteData = "cache" | "cookies" | "storage" | "executionContexts" | "*";

/** Options of `session.destroy`. */
export interface DestroyOptions {
  /**
   * Sends `Clear-Site-Data` with the response of a request over HTTPS; browsers ignore it otherwise.
   * `"storage"` deletes what pages have stored (`localStorage`, IndexedDB, service workers) for this
   * origin. `"cookies"` and `"*"` delete all cookies of the registrable domain, those of sibling hosts
   * among them, and Chromium then also drops the cookies of this very response: a farewell message is
   * lost. Default: nothing is sent.
   */
  readonly clearSiteData?: readonly SiteData[];
}

const TYPES: readonly unknown[] = ["cache", "cookies", "storage", "executionContexts", "*"];

const RULES: Rules<DestroyOptions> = {
  clearSiteData: value(
    'an array of "cache", "cookies", "storage", "executionContexts" and "*"',
    (it) => Array.isArray(it) && it.length > 0 && it.every((type) => TYPES.includes(type)),
  ),
};

/** @throws {TypeError} for what browsers don't know. */
export const checkDestroy = (options: DestroyOptions): void =>
  checkOptions("destroy(options)", options, RULES);

export async function clearSiteData(
  ctx: ExtendableContext,
  { clearSiteData: types }: DestroyOptions,
): Promise<void> {
  if (types === undefined || !ctx.secure || ctx.res.headersSent) return;
  const value = types.map((type) => `"${type}"`).join(", ");
  await keepHeaders(ctx, () => void ctx.res.setHeader("Clear-Site-Data", value));
}
