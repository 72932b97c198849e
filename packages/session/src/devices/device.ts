import {
  checkValue,
  func,
  nested,
  oneOf,
  type Rule,
  type Rules,
  text,
} from "@lanai/connection/options";
import type { ExtendableContext } from "koa";
import { decode } from "../request/codec.ts";
import { browserName } from "./browser-name.ts";
import { networkOf, plainAddress } from "./network.ts";

/** The description of the device that a session keeps from its sign-in. */
export interface DevicesOptions {
  /**
   * Keeps the client's address (Koa's `ctx.ip`), which is personal data: `true` or `"network"` its first
   * 24 bits (IPv4) or 48 bits (IPv6), `"whole"` all of it. Default: not kept.
   */
  readonly address?: boolean | "network" | "whole";
  /**
   * Returns the name of the browser and its system, of which at most 64 characters are kept. Default: that
   * of the common ones by their `User-Agent`, such as "Firefox on Linux", and none for the rest.
   */
  readonly browser?: (ctx: ExtendableContext) => string | undefined;
}

/** The device of a session in a list. A part that isn't known is missing. */
export interface DeviceSummary {
  /** Browser and system at the sign-in, such as "Firefox on Linux". The client says so: prove nothing by it. */
  readonly browser: string | undefined;
  /** The name that the user has given to it. */
  readonly label: string | undefined;
  /** Where it signed in from: a network such as `192.0.2.0/24`, or an address. */
  readonly address: string | undefined;
}

/** The entry with what a sign-in says of its device: `{ v: 1, browser?, address? }`. */
export const DEVICE = "device:sign-in";
/** The entry with the user's label, a text. */
export const LABEL = "device:label";

/** The longest label and the longest name of a browser, in Unicode characters. */
const LONGEST = 64;
/** Control characters, and those that turn the direction of the text around them. */
const UNSHOWABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

export const DEVICES_RULE: Rule = nested<DevicesOptions>({
  address: oneOf(true, false, "network", "whole"),
  browser: func,
} satisfies Rules<DevicesOptions>);

const LABEL_RULE: Rule = text(
  `a text of at most ${LONGEST} characters without control characters`,
  (it) => isShowable(it),
);

const isShowable = (it: string): boolean =>
  it.isWellFormed() && [...it].length <= LONGEST && !UNSHOWABLE.test(it);

/** Returns a label without the white space around it. @throws TypeError for one that can't be shown. */
export function labelOf(label: unknown): string {
  checkValue("labelDevice(label)", "label", label ?? null, LABEL_RULE);
  return (label as string).trim();
}

/** The value of {@link DEVICE}. */
interface SignInDevice {
  readonly v: 1;
  readonly browser?: string;
  readonly address?: string;
}

/** Returns what a sign-in by a request says of its device; `undefined` if that is nothing. */
export function deviceOf(
  ctx: ExtendableContext,
  { address: kept, browser: name = commonBrowser }: DevicesOptions,
): SignInDevice | undefined {
  const browser = shown(name(ctx));
  const address = kept ? (kept === "whole" ? plainAddress : networkOf)(ctx.ip) : undefined;
  if (browser === undefined && address === undefined) return undefined;
  return {
    v: 1,
    ...(browser !== undefined && { browser }),
    ...(address !== undefined && { address }),
  };
}

const commonBrowser = (ctx: ExtendableContext) => browserName(ctx.get("User-Agent"));

/** Returns what the values of a record say of its device. What nobody of ours wrote is left out. */
export function deviceIn(values: ReadonlyMap<string, string>): DeviceSummary {
  const device = storedIn(values, DEVICE);
  const { v, browser, address } =
    typeof device === "object" && device !== null ? (device as Partial<SignInDevice>) : {};
  return {
    browser: v === 1 ? shown(browser) : undefined,
    label: shown(storedIn(values, LABEL)),
    address: v === 1 ? shown(address) : undefined,
  };
}

function storedIn(values: ReadonlyMap<string, string>, name: string): unknown {
  const text = values.get(name);
  try {
    return text === undefined ? undefined : decode(text, name);
  } catch {
    // A list is for ending sessions: it mustn't fail because of one that can't be described.
    return undefined;
  }
}

function shown(text: unknown): string | undefined {
  if (typeof text !== "string" || !text.isWellFormed()) return undefined;
  const cut = [...text.slice(0, 4 * LONGEST)].slice(0, LONGEST).join("").trim();
  return cut === "" || UNSHOWABLE.test(cut) ? undefined : cut;
}
