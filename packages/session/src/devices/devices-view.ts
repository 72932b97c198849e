import type { SessionSummary } from "../manager/owned-sessions.ts";

/** A session of the user, as the page shows it. */
export interface ListedDevice extends SessionSummary {
  /** Whether it is the one that asks. */
  readonly isCurrent: boolean;
  /** The number of its live connections; `undefined` without the option `clients`. */
  readonly listeners: number | undefined;
}

/** The data of a page of devices, for `render`. */
export interface DevicesPageView {
  /** The current one comes first, then the one used last. */
  readonly devices: readonly ListedDevice[];
  /** The reason why the last label was refused. */
  readonly error: string | undefined;
  /** The paths to which the forms post: `label` takes the fields `device`, a public id, and
   * `label`; `end` takes `device`. */
  readonly actions: Readonly<Record<Action, string>>;
  /** The list with its forms: everything in it is escaped. */
  readonly html: string;
}

/** The last part of the path to which each form posts. */
export const ACTIONS = ["label", "end", "end-others", "end-all"] as const;
export type Action = (typeof ACTIONS)[number];
