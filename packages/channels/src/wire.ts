import { parseJson } from "@lanai/connection/json";

/** The subprotocols that name the versions of the wire, the preferred first: see WIRE.md. */
export const PROTOCOLS = ["lanai.channels.2", "lanai.channels.1"] as const;

/** The time after its first sending in which a page may send a call again, in milliseconds. */
export const CALL_WINDOW = 60_000;

/** The silence after which a page pings, in milliseconds. */
export const PING = 25_000;

/** A frame of a page, of which only the form is checked. */
export type Incoming =
  | {
      readonly t: "join";
      readonly p: string;
      readonly a: unknown;
      readonly n: number;
      readonly s: string | undefined;
    }
  | { readonly t: "leave"; readonly k: string }
  | {
      readonly t: "call";
      readonly k: string;
      readonly i: string;
      readonly m: string;
      readonly d: unknown;
      readonly s: string | undefined;
    }
  | { readonly t: "session"; readonly token: string | undefined }
  | { readonly t: "ack"; readonly i: string }
  | { readonly t: "ping" }
  | { readonly t: "other" };

const ID = /^[\w-]{16,64}$/;
const isCursor = (value: unknown): value is string | undefined =>
  value === undefined || (typeof value === "string" && value.length <= 128);
const isText = (value: unknown, most: number): value is string =>
  typeof value === "string" && value !== "" && value.length <= most;

/** Returns what a page has sent, or `undefined` for what can't be a frame. */
export function parseFrame(text: string): Incoming | undefined {
  let frame: Record<string, unknown>;
  try {
    frame = parseJson(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof frame !== "object" || frame === null || typeof frame.t !== "string") return undefined;
  const { t, k, p, a, n = 0, s, i, m, d, token } = frame;
  switch (t) {
    case "join": {
      const isCount = typeof n === "number" && Number.isInteger(n) && n >= 0;
      return isText(p, 256) && isCount && isCursor(s)
        ? { t, p, a, n, s: s || undefined }
        : undefined;
    }
    case "leave":
      return isText(k, 1_024) ? { t, k } : undefined;
    case "call": {
      const isId = typeof i === "string" && ID.test(i);
      const isWhole = isText(k, 1_024) && isId && isText(m, 128) && isCursor(s);
      return isWhole ? { t, k, i, m, d, s } : undefined;
    }
    case "session":
      return token === undefined || isText(token, 8_192) ? { t, token } : undefined;
    case "ack":
      return isText(i, 64) ? { t, i } : undefined;
    case "ping":
      return { t };
    default:
      return { t: "other" };
  }
}
