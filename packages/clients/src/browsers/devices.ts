import type { SessionSummary, Sessions } from "@lanai/session";
import type { ExtendableContext } from "koa";
import { ClientsError } from "../errors.ts";
import type { Presence } from "../presence/types.ts";
import { clientOwner } from "../sessions/session-checks.ts";
import type { TargetKey } from "../target.ts";

/** A session of the signed-in user, as a list of devices shows it. It holds no credential. */
export interface Device
  extends Pick<SessionSummary, "browser" | "label" | "address" | "impersonator" | "isBound"> {
  /** The public id of the session, by which it is revoked. */
  readonly publicId: string;
  /** Whether it is the session of this request. */
  readonly isCurrent: boolean;
  /** A browser that it was used in, if that is known: sessions of its tabs have the same. */
  readonly client: string | undefined;
  readonly createdAt: Date;
  readonly seenAt: Date;
  readonly expiresAt: Date;
  /** The number of its live connections. */
  readonly listeners: number;
}

/** The devices of the signed-in user. Each call concerns the sessions of that user only. */
export interface Devices {
  /** Returns the sessions, the one that was used last first. */
  list(): Promise<Device[]>;
  /** @returns `false` for a public id of nobody's session, and of somebody else's. */
  revoke(publicId: string): Promise<boolean>;
  /**
   * Signs out everywhere but here; the session of this request keeps its id.
   *
   * @returns The number of sessions that ended.
   */
  revokeOthers(): Promise<number>;
  /** Signs out everywhere, and here too. @returns The number of sessions that ended. */
  revokeAll(): Promise<number>;
}

const CLIENT = clientOwner("");

/**
 * @throws {ClientsError} `ERR_CLIENTS_NOT_SIGNED_IN`, a 401, at each call of a visitor who isn't.
 */
export function devicesOf(
  ctx: ExtendableContext,
  sessions: Sessions,
  presenceOf: (key: TargetKey) => Presence,
): Devices {
  const signedIn = async () => {
    const session = await sessions.from(ctx).load();
    const { userId: user, publicId: current } = session;
    if (user !== undefined) return { user, current, session };
    throw new ClientsError("ERR_CLIENTS_NOT_SIGNED_IN", "sign in to see your devices", {
      status: 401,
      headers: { "WWW-Authenticate": 'Session realm="devices", code="ERR_CLIENTS_NOT_SIGNED_IN"' },
    });
  };

  return {
    async list() {
      const { user, current } = await signedIn();
      const summaries = await sessions.list({ user });
      return summaries
        .map(({ userId: _user, owners, publicId, ...shown }) => ({
          ...shown,
          publicId,
          isCurrent: publicId === current,
          client: [...owners].find((it) => it.startsWith(CLIENT))?.slice(CLIENT.length),
          listeners: presenceOf(`session:${publicId}`).listeners,
        }))
        .sort((a, b) => b.seenAt.getTime() - a.seenAt.getTime());
    },

    async revoke(publicId) {
      const { user, current, session } = await signedIn();
      if (publicId !== current) return sessions.destroyByPublicId({ user }, publicId);
      // By the request, so that its cookie goes too.
      await session.destroy();
      return true;
    },

    async revokeOthers() {
      const { user, current } = await signedIn();
      return sessions.destroyAll({ user }, { except: current });
    },

    async revokeAll() {
      const { user, session } = await signedIn();
      const count = await sessions.destroyAll({ user });
      await session.destroy();
      return count;
    },
  };
}
