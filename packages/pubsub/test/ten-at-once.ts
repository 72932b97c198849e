import type { PubSub, Streams } from "@lanai/pubsub";
import { type OpenedPubSub, pubsubConformance } from "@lanai/pubsub/testing";

type Backend = PubSub & Streams;

/** What must be alone, closes, or takes long. */
const ALONE = /P1|P5|any order|P8|throws|maxAge|on the wire|no wildcard/;

/**
 * Runs the suite ten times at once on one backend, but for what must be alone; answers how many
 * cases that were.
 */
export const tenAtOnce = async (
  opened: OpenedPubSub,
  features: { readonly network?: false } = {},
): Promise<number> => {
  const runs: Promise<void>[] = [];
  const { backend, again } = opened;
  for (let i = 0; i < 10; i++) {
    pubsubConformance({
      name: "ten at once",
      features,
      open: () => ({ backend: shared(backend), ...(again && { again: shared(again) }) }),
      test(name, run) {
        if (!ALONE.test(name) && !(again && /^50 /.test(name))) runs.push(run());
      },
    });
  }
  await Promise.all(runs);
  return runs.length;
};

/** The same backend, which a case can't close. */
const shared = (backend: Backend): Backend => ({
  publish: (...args) => backend.publish(...args),
  subscribe: (...args) => backend.subscribe(...args),
  ensureStream: (...args) => backend.ensureStream(...args),
  history: (...args) => backend.history(...args),
  close: async () => {},
});
