import { type PubSubConformanceOptions, pubsubConformance } from "../pubsub-conformance.ts";
import { type BackendAt, openBackendAt } from "./backend-at.ts";
import { type Peer, startPeer } from "./peer.ts";

/** The options of `pubsubProcesses`. */
export interface PubSubProcessesOptions extends Omit<PubSubConformanceOptions, "open"> {
  /** The runner's function for what follows the last test: `afterAll` of Vitest, `after` of the others. */
  readonly after: (fn: () => Promise<void>) => unknown;
  /**
   * Where both processes find the broker; or a function that returns it for one case, for a prefix of
   * its own.
   */
  readonly backend: BackendAt | (() => BackendAt | Promise<BackendAt>);
  /** Kills the broker and starts it again, with the data it had stored. Without it: no `restart`. */
  readonly restart?: () => Promise<void>;
  /** Breaks the connections of both processes, or some of them; their clients connect again. */
  readonly cut?: () => Promise<void>;
  /** Returns how many subscriptions the broker knows now, those for control aside. */
  readonly wire: (at: BackendAt) => Promise<number>;
}

/**
 * The laws that every backend keeps, as tests, of which each runs in two processes: `again` of the
 * conformance suite is in another one.
 *
 * @throws TypeError for a feature that there isn't.
 */
export function pubsubProcesses(options: PubSubProcessesOptions): void {
  const { after, backend, cut, restart, wire, features = {}, ...others } = options;
  let peer: Peer | undefined;
  after(async () => {
    await peer?.kill();
  });
  pubsubConformance({
    ...others,
    features: restart ? features : { ...features, restart: false },
    async open() {
      const at = typeof backend === "function" ? await backend() : backend;
      peer ??= startPeer(at.module);
      const [here, again] = await Promise.all([openBackendAt(at), peer.open(at.options)]);
      return {
        backend: here,
        again,
        wire: () => wire(at),
        ...(cut && { cut }),
        ...(restart && { restart }),
      };
    },
  });
}
