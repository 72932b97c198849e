/** Whom to reach: one connection, a session, a browser or a user. */
export type Target =
  | { readonly listener: string }
  /** A session's public id. */
  | { readonly session: string }
  /** A client's public id. */
  | { readonly client: string }
  | { readonly user: string };

export type Scope = "listener" | "session" | "client" | "user";

const SCOPES: readonly Scope[] = ["listener", "session", "client", "user"];

/** `user:ada`: how a target is known in maps. */
export type TargetKey = `${Scope}:${string}`;

/**
 * @throws TypeError for what names none, or several.
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
