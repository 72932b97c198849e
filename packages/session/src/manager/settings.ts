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
}
