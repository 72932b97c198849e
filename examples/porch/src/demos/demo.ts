import type Router from "@koa/router";
import type { Clients } from "@lanai/clients";
import type { Bus } from "@lanai/pubsub";
import type { Live } from "../channels.ts";
import type { Html } from "../html.ts";

/** The parts of the app that a demonstration may use. */
export interface DemoParts {
  readonly bus: Bus;
  readonly clients: Clients;
  readonly channels: Live;
}

/** One demonstration: a page with two panes, which are two tabs of the same browser. */
export interface Demo {
  readonly id: string;
  readonly title: string;
  readonly promise: string;
  /** The instructions, in one or two sentences. */
  readonly steps: string;
  /** The controls above the panes, such as the button that starts both. */
  readonly controls: Html;
  /** The lines that do it. */
  readonly code: string;
  /** Adds its routes, below `/demos/ID`. */
  routes(router: Router, parts: DemoParts): void;
}

declare module "@lanai/session" {
  interface SessionData {
    /** The demonstration that is shown. */
    demo: string;
    /** The notes of "two tabs write", added by `update`, and by reading and writing. */
    notes: string[];
    naive: string[];
    /** The number of messages of "miss nothing". */
    published: number;
  }
}
