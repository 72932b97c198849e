/** One connection, a session, a browser or a user. */
export type Target =
  | { readonly listener: string }
  /** A session's public id. */
  | { readonly session: string }
  /** A client's public id. */
  | { readonly client: string }
  | { readonly user: string };

/** Every listener, in all processes. */
export interface Everyone {
  readonly everyone: true;
}

export type Scope = "listener" | "session" | "client" | "user";

const SCOPES: readonly Scope[] = ["listener", "session", "client", "user"];

/** The key of a target in maps, such as `user:ada`. */
export type TargetKey = `${Scope}:${string}` | typeof EVERYONE;

/** The key that every listener has. */
export const EVERYONE = "everyone:";

/** Returns the key of a target of `send`, which may be everyone. */
export function keyOf(target: Target | Everyone): TargetKey {
  if (typeof target !== "object" || target === null || !("everyone" in target)) {
    return parseTarget(target).key;
  }
  if (target.everyone === true && Object.keys(target).length === 1) return EVERYONE;
  throw new TypeError("everyone is addressed by { everyone: true } alone");
}

/**
 * Returns the parts of a target.
 *
 * @throws TypeError for an object that names no target, or several.
 */
export function parseTarget(target: Target): { scope: Scope; id: string; key: TargetKey } {
  const names = typeof target === "object" && target !== null ? Object.keys(target) : [];
  const [scope] = names as Scope[];
  const id = scope && (target as Record<string, unknown>)[scope];
  if (
    names.length === 1 &&
    scope &&
    SCOPES.includes(scope) &&
    typeof id === "string" &&
    id !== "" &&
    id.length <= 256
  ) {
    return { scope, id, key: `${scope}:${id}` };
  }
  throw new TypeError(
    `a target is one of { listener }, { session }, { client } and { user }, each a string of 1 to 256 characters; got { ${names.join(", ")} }`,
  );
}
