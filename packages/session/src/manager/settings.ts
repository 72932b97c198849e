import type { ExtendableContext } from "koa";
import type { DevicesOptions } from "../devices/device.ts";
import type { IdGenerator } from "../id-generator.ts";
import type { Access } from "../request/access.ts";
import type { Timeouts } from "../request/draft.ts";
import type { Session } from "../session.ts";
import type { OwnerLimit } from "../store.ts";
import type { Tracker } from "../tracker.ts";
import type { Ends } from "./ends.ts";

/** The settings that the requests of one session manager share. */
export interface SessionSettings extends Access, Timeouts {
  readonly tracker: Tracker;
  readonly generator: IdGenerator;
  readonly property: string;
  readonly onSessionNew: ((session: Session, ctx?: ExtendableContext) => unknown) | undefined;
  /** `undefined` for a store without an index. */
  readonly maxSessionsPerUser: Pick<OwnerLimit, "limit" | "overflow"> | undefined;
  /** Whether a request extends the idle time of its session. */
  readonly touch: (ctx: ExtendableContext) => boolean;
  /** `undefined` for a store without an index, which can't list devices. */
  readonly devices: DevicesOptions | undefined;
  readonly ends: Ends;
  /**
   * Has the request notice when something that it calls ends its session. Called as soon as an owner is
   * added: a session without owners is found by nobody.
   */
  readonly enterScope: (request: Endable) => void;
}

/** A request, for calls that may end its session. */
export interface Endable {
  wasEnded(publicId: string): void;
  /** Calls `fn` when nothing can be written to the session any more. */
  whenClosed(fn: () => void): void;
}
