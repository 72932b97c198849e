import { events } from "../events.ts";
import type { StreamSettings } from "./stream-settings.ts";

/**
 * The calls of `ensureStream` that are under way in a backend. It reports those that ask for different
 * subjects of one stream at the same time: which of them holds afterwards is left to chance.
 */
export class ConcurrentEnsures {
  readonly #running = new Map<string, Set<StreamSettings>>();

  /** Runs a call, which counts until it settles. */
  async run(settings: StreamSettings, make: () => Promise<void>): Promise<void> {
    const { name } = settings;
    const running = this.#running.get(name) ?? new Set();
    this.#running.set(name, running);
    for (const other of running) compare(settings, other);
    running.add(settings);
    try {
      await make();
    } finally {
      running.delete(settings);
      if (running.size === 0) this.#running.delete(name);
    }
  }
}

function compare({ name, subjects }: StreamSettings, other: StreamSettings): void {
  const isSame =
    subjects.length === other.subjects.length &&
    subjects.every((it) => other.subjects.includes(it));
  if (isSame) return;
  const message =
    `ensureStream was called for ${name} at the same time with the subjects ` +
    `${other.subjects.join(", ")} and with ${subjects.join(", ")}. All callers have to ask for the same`;
  events.report("stream", `concurrent calls for ${name}`, {
    level: "warn",
    subject: name,
    message,
  });
}
