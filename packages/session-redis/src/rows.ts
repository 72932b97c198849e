import { SessionError, type SessionRecord } from "@lanai/session/store";

const NO_OWNERS: ReadonlySet<string> = new Set();

/** @throws {SessionError} `ERR_SESSION_DECODE` for what the store hasn't written like that. */
export function recordOf(fields: readonly string[]): SessionRecord | undefined {
  let state: string | undefined;
  let owners = NO_OWNERS;
  let isOurs = fields.length === 0;
  const values = new Map<string, string>();
  for (let n = 0; n < fields.length; n += 2) {
    const [name, text] = [fields[n] as string, fields[n + 1] as string];
    switch (name) {
      case "m":
        state = text;
        break;
      case "o":
        owners = ownersOf(text);
        break;
      case "r":
      case "e":
      case "k":
      case "p":
      case "w":
      case ">":
      case "!":
        isOurs = true;
        break;
      default:
        if (!name.startsWith("=")) throw damaged();
        values.set(name.slice(1), text);
    }
  }
  if (!isOurs) throw damaged();
  if (state === undefined) return undefined;
  const parts = STATE.exec(state) ?? refuseDamaged();
  const [createdAt, startedAt, seenAt, idle, absolute] = parts.slice(1, 6).map(Number) as Times;
  if (![createdAt, startedAt, seenAt].every(Number.isSafeInteger)) throw damaged();
  if (Number.isNaN(idle) || Number.isNaN(absolute)) throw damaged();
  const publicId = parts[6] as string;
  return { publicId, values, owners, createdAt, startedAt, seenAt, idle, absolute };
}

/** createdAt, startedAt, seenAt, idle, absolute, publicId. */
const STATE = /^(\d+) (\d+) (\d+) (\S+) (\S+) (.+)$/s;
type Times = [number, number, number, number, number];

/** Owners follow the time until which their lists hold the session. */
function ownersOf(json: string): ReadonlySet<string> {
  const [till, ...owners] = listIn(json);
  if (typeof till !== "number" || !owners.every((owner) => typeof owner === "string")) {
    throw damaged();
  }
  return new Set(owners as string[]);
}

/** The owners of a session that has ended, as far as they can be read. */
export function ownersIn(json: string): ReadonlySet<string> {
  try {
    return ownersOf(json);
  } catch {
    return NO_OWNERS;
  }
}

function listIn(json: string): unknown[] {
  const list = parsed(json);
  return Array.isArray(list) ? list : refuseDamaged();
}

/** Returns `undefined` for what is no JSON: the error's message would quote what is stored. */
export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

export const damaged = (): SessionError =>
  new SessionError(
    "ERR_SESSION_DECODE",
    "redisStore: a key of a session holds what this store hasn't written",
  );

export const isDamaged = (error: unknown): boolean =>
  (error as { code?: unknown }).code === "ERR_SESSION_DECODE";

export function refuseDamaged(): never {
  throw damaged();
}
