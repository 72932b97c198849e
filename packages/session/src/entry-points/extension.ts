import { extensionOf, type Session, type SessionExtension } from "../session.ts";

export type { SessionExtension } from "../session.ts";

/**
 * For packages that keep entries or owners of their own in a session, such as `@lanai/flash`: gives them
 * the namespaces and the kinds of owner that are closed to an app, whose names may come from a visitor.
 */
export function extend<Data>(session: Session<Data>): SessionExtension {
  return extensionOf(session);
}
