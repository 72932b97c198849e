import { AsyncLocalStorage } from "node:async_hooks";
import type { Session } from "@lanai/session";
import type { Op, Visit } from "./plan.ts";
import type { Worker, World } from "./world.ts";

/** What the handler of a request saw of its session, at one moment. */
export interface Sight {
  readonly user: string | undefined;
  readonly publicId: string | undefined;
  readonly keys: readonly string[];
}

/** What a handler has set or left. */
interface Stored {
  readonly text: string;
  /** The session that a commit has stored it in; `undefined` for that of the response. */
  publicId: string | undefined;
}

/** One visit while it happens, with everything that its handler did and was told. */
export interface Act {
  readonly visit: Visit;
  readonly worker: Worker;
  /** The position in the run's order of events. */
  readonly began: number;
  ended: number | undefined;
  status: number | undefined;
  setCookie: readonly string[];
  readonly sights: Sight[];
  readonly logins: string[];
  readonly set: Stored[];
  /** Everything it has ever set, with the position in the run's order of events. */
  readonly everSet: { readonly key: string; readonly at: number }[];
  /** Updates, messages and ends that were acknowledged, each with the session's public id. */
  readonly updated: { readonly text: string; readonly publicId: string | undefined }[];
  readonly left: Stored[];
  readonly popped: string[];
  readonly destroyed: { readonly publicId: string; readonly at: number }[];
  readonly destroyedAll: { readonly user: string; readonly began: number; readonly at: number }[];
  /** Something that it did was rejected, so that its outcome may be unknown. */
  hasFailed: boolean;
  /** The session said that what the request had set was not stored. */
  isDropped: boolean;
  /** The public id when the response had left. */
  publicId: string | undefined;
}

export const currentAct: AsyncLocalStorage<Act> = new AsyncLocalStorage();

interface Context {
  readonly session: Session;
  readonly flash: {
    (message: string): void;
    pop(): Promise<readonly { readonly message: unknown }[]>;
  };
}

export interface Manager {
  destroyAll(target: { user: string }): Promise<number>;
}

/** Does one thing of a visit's plan, and writes down what came of it. */
export async function carryOut(
  op: Op,
  name: string,
  { world, ctx, act, sessions }: { world: World; ctx: Context; act: Act; sessions: Manager },
): Promise<void> {
  const { session } = ctx;
  switch (op.do) {
    case "set": {
      // A name that says whose it is must be seen by that user only.
      const key = session.userId === undefined ? `open ${name}` : `of ${session.userId}: ${name}`;
      session.set(key, 1);
      act.set.push({ text: key, publicId: undefined });
      act.everSet.push({ key, at: world.log.length });
      return;
    }
    case "update": {
      await session.update("log", (log: unknown) => [...((log as string[]) ?? []), name]);
      act.updated.push({ text: name, publicId: session.publicId });
      return;
    }
    case "leave":
      ctx.flash(name);
      act.left.push({ text: name, publicId: undefined });
      return;
    case "pop": {
      for (const { message } of await ctx.flash.pop()) act.popped.push(String(message));
      return;
    }
    case "pause": {
      await new Promise<void>((resolve) => {
        world.post(`${name} goes on`, resolve, { worker: act.worker });
      });
      return;
    }
    case "renew":
      session.renewId();
      return;
    case "commit":
      await session.commit();
      // If that session ends, a later sign-in of this request begins another without it.
      for (const it of [...act.set, ...act.left]) it.publicId ??= session.publicId;
      return;
    case "login":
      if (session.userId !== op.user) forgetDraft(act);
      session.login(op.user);
      act.logins.push(op.user);
      return;
    case "destroy": {
      const { publicId, isNew } = session;
      forgetDraft(act);
      await session.destroy();
      if (publicId !== undefined && !isNew) act.destroyed.push({ publicId, at: world.log.length });
      return;
    }
    case "destroyAll": {
      const began = world.log.length;
      forgetDraft(act);
      await sessions.destroyAll({ user: op.user });
      act.destroyedAll.push({ user: op.user, began, at: world.log.length });
      return;
    }
  }
}

/** What a request has set belongs to the session that it had: nothing is promised of it afterwards. */
function forgetDraft(act: Act): void {
  act.set.length = 0;
  act.left.length = 0;
}

export const sightOf = ({ session }: Context): Sight => ({
  user: session.userId,
  publicId: session.isNew ? undefined : session.publicId,
  keys: Object.keys(session.toJSON()),
});
