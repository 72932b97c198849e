import type { Sessions } from "@lanai/session";
import type { ExtendableContext } from "koa";
import { ClientsError } from "./errors.ts";
import type { Presence } from "./presence.ts";
import type { TargetKey } from "./target.ts";
import { clientOwner } from "./watches.ts";

/** A session of the signed-in user, as a list of devices shows it. It holds no credential. */
export interface Device {
  /** Of the session, to revoke it by. */
  readonly publicId: string;
  /** Whether it is the one that asks. */
  readonly isCurrent: boolean;
  /** A browser that it was used in, where that is known: sessions of its tabs have the same. */
  readonly client: string | undefined;
  readonly createdAt: Date;
  readonly seenAt: Date;
  readonly expiresAt: Date;
  /** How many live connections it has. */
  readonly listeners: number;
}

/** The devices of whoever is signed in. Each call is about their own sessions only. */
export interface Devices {
  /** The one used last comes first. */
  list(): Promise<Device[]>;
  /** @returns `false` for a public id of nobody's session, and of somebody else's. */
  revoke(publicId: string): Promise<boolean>;
  /**
   * Signs out everywhere but here; the session that asks keeps its id. @returns How many sessions
   * that were.
   */
  revokeOthers(): Promise<number>;
  /** Signs out everywhere, and here too. @returns How many sessions that were. */
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
        .map(({ publicId, owners, createdAt, seenAt, expiresAt }) => ({
          publicId,
          isCurrent: publicId === current,
          client: [...owners].find((it) => it.startsWith(CLIENT))?.slice(CLIENT.length),
          createdAt,
          seenAt,
          expiresAt,
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
