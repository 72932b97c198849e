import { type Gap, memoryPubSub, type PubSub } from "@lanai/pubsub";

/** The line of one process to the bus of all. */
export interface Line extends PubSub {
  /** `cut`: what is published fails. `mute`: nothing is answered. Nothing comes in either. */
  state: "up" | "cut" | "mute";
  /** Up again; what is subscribed hears that it may have missed something. */
  heal(): void;
  /** How many subscriptions there are. */
  readonly subscriptions: number;
  /** Lets `publish` wait for it. */
  barrier: Promise<void> | undefined;
}

/** A bus between the processes of a test, whose lines can be cut. */
export function network(): () => Line {
  const bus = memoryPubSub();
  return () => {
    const open = new Set<{ readonly onGap: (gap: Gap) => void }>();
    const down = (line: Line): Promise<never> =>
      line.state === "mute" ? new Promise(() => {}) : Promise.reject(new Error("the line is cut"));
    const line: Line = {
      state: "up",
      barrier: undefined,
      get subscriptions() {
        return open.size;
      },
      async publish(subject, data, options) {
        await line.barrier;
        if (line.state !== "up") return down(line);
        return bus.publish(subject, data, options);
      },
      async subscribe(subject, handler, options) {
        if (line.state !== "up") return down(line);
        const subscription = await bus.subscribe(
          subject,
          (message) => line.state === "up" && handler(message),
          options,
        );
        const one = { onGap: options?.onGap ?? (() => {}) };
        open.add(one);
        void subscription.closed.then(() => open.delete(one));
        return subscription;
      },
      heal() {
        line.state = "up";
        for (const { onGap } of open) onGap({ subject: "", reason: "reconnect" });
      },
      close: async () => {},
    };
    return line;
  };
}
