import type { Mutant } from "../plant.ts";

const channels = "packages/channels/src";
const browser = "packages/browser/src";

/** Each takes one promise of the laws away: in the page, in a process of the app, or on the way. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "a call is handled by every process that it reaches",
    file: `${channels}/bus/claims.ts`,
    from: "if (claim.by !== by) return within(claim.outcome.promise, timeout);",
    to: "",
  },
  {
    name: "a page that comes back is sent what the process has, and not what it missed",
    file: `${channels}/room/seat.ts`,
    from: "if (log.knows(since)) return { next: () => log.after(since), since };",
    to: "if (log.knows(since)) return { next: () => log.next, since };",
  },
  {
    name: "a page that comes back to a process that is behind is given that process's place",
    file: `${channels}/room/seat.ts`,
    from: "return since === undefined || log.hasReached(since) ? log.cursor : since;",
    to: "return log.cursor;",
  },
  {
    name: "a page that waits to join again has two joins under way",
    file: `${browser}/room.ts`,
    from: 'this.#stopRetry?.();\n    this.state = "joining";\n    this.#send(',
    to: 'this.state = "joining";\n    this.#send(',
  },
  {
    name: "what comes while the history is read is lost",
    file: `${channels}/room/log.ts`,
    from: "for (const [data, meta] of held) this.#receive(data, meta);",
    to: "",
  },
  {
    name: "a room without a stream is replayed what the process happens to have",
    file: `${channels}/room/log.ts`,
    from: "if (this.at(seq)?.cursor === undefined) continue;",
    to: "",
  },
  {
    name: "gaps of events that nobody retains are shown",
    file: `${channels}/room/log.ts`,
    from: "if (!showsGaps) return;",
    to: "",
  },
  {
    name: "members that the bus has refused to take are told to nobody",
    file: `${channels}/room/presence.ts`,
    from: "notes.publish(subject, members).catch(onUnsent);",
    to: "notes.publish(subject, members).catch(() => {});",
  },
  {
    name: "a process that doesn't answer keeps its members",
    file: `${channels}/room/presence.ts`,
    from: "for (const node of this.#silent) this.lose(node);",
    to: "",
  },
  {
    name: "remove doesn't wait for the page",
    file: `${channels}/connection.ts`,
    from: "if (await within(isOut, CONFIRM)) return;",
    to: "if (isOut) return;",
  },
  {
    name: "a page joins again without saying where it was",
    file: `${browser}/room.ts`,
    from: "...this.#join, s: this.#cursor });",
    to: "...this.#join });",
  },
  {
    name: "a page whose connection is silent waits for ever",
    file: `${browser}/connect.ts`,
    from: 'if (send({ t: "ping" })) expect(patience);',
    to: 'if (send({ t: "ping" })) stopLife?.();',
  },
];
