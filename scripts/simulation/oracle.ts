import { createHash } from "node:crypto";
import type { SessionRecord } from "@lanai/session/store";
import type { Act } from "./act.ts";
import type { Plan } from "./plan.ts";

/** Everything that a run has shown. */
export interface Outcome {
  readonly plan: Plan;
  readonly acts: readonly Act[];
  /** The sessions that live in the end, by their keys. */
  readonly live: ReadonlyMap<string, SessionRecord>;
  /** Sessions that the server has stored after their request's connection was cut, by public id. */
  readonly late: ReadonlySet<string>;
  /**
   * How often a session was stored under a public id: once more if its request repeats a creation whose
   * answer was lost, and somebody has ended the session meanwhile.
   */
  readonly creations: ReadonlyMap<string, number>;
  /** Ends that were reported, by public id. */
  readonly reported: ReadonlyMap<string, number>;
  /** Errors of the app that aren't a client's. */
  readonly errors: readonly unknown[];
}

const isSound = ({ status, isDropped, hasFailed }: Act): boolean =>
  status === 200 && !isDropped && !hasFailed;

/** Returns the key under which a store keeps the session of an id. */
const keyOf = (id: string): string =>
  `${id.slice(0, 2)}.${createHash("sha256").update(id).digest("base64url")}`;

/** The faults for which a response may be a 503. */
const UNAVAILABLE: readonly string[] = ["cut", "crash", "slow", "locked", "full"];

/** Returns every promise of the laws that a run has broken, in words. */
export function violationsOf(outcome: Outcome): string[] {
  const { plan, acts, live, late, creations, reported, errors } = outcome;
  const found: string[] = [];
  const violated = (law: string, act: Act, what: string): void => {
    found.push(`${law}: visit ${act.visit.id} of ${act.visit.person} ${what}`);
  };
  const hasCrashed = plan.faults.includes("crash");
  const liveById = new Map([...live.values()].map((it) => [it.publicId, it]));

  // A handler that signs a user in has put what it set into a session of either.
  const mixed = new Set(
    acts.filter((it) => it.logins.length > 0).flatMap((it) => it.everSet.map(({ key }) => key)),
  );

  for (const error of errors) found.push(`S17: the app has failed: ${error}`);

  for (const act of acts) {
    const { sights, logins, status } = act;
    if (status === undefined && act.worker.state !== "crashed") {
      violated("S10", act, "has no response in the end");
    }
    if (status !== undefined && status >= 500) {
      const isExcused = status === 503 && plan.faults.some((fault) => UNAVAILABLE.includes(fault));
      if (!isExcused) violated("S10", act, `was given ${status}`);
    }
    // Nobody sees a user who has signed in elsewhere meanwhile, nor what that user has set.
    const users = new Set<string | undefined>([undefined, sights[0]?.user, ...logins]);
    for (const { user, keys } of sights) {
      if (!users.has(user)) violated("S19", act, `became ${user} without a sign-in`);
      for (const key of keys) {
        const [, owner] = /^of (.*):/.exec(key) ?? [];
        if (owner !== undefined && owner !== user && !mixed.has(key)) {
          violated("S19", act, `saw "${key}" as ${user}`);
        }
      }
    }
    if (!isSound(act)) continue;
    for (const { text, publicId = act.publicId } of act.set) {
      const record = liveById.get(publicId ?? "");
      if (record && !record.values.has(`d:${text}`)) {
        violated("S1", act, `was told that "${text}" is stored`);
      }
    }
  }

  // An update is applied once, if it was acknowledged.
  for (const [publicId, record] of liveById) {
    const log = JSON.parse(record.values.get("d:log") ?? "[]") as string[];
    if (new Set(log).size !== log.length) found.push(`S1: an update was applied twice: ${log}`);
    for (const act of acts) {
      for (const { text, publicId: of } of act.updated) {
        if (of === publicId && !log.includes(text)) violated("S1", act, `lost its update ${text}`);
      }
    }
  }

  // Nobody writes to the session of a user who has signed in since.
  for (const signIn of acts) {
    const user = signIn.logins.at(-1);
    const record = liveById.get(signIn.publicId ?? "");
    if (!isSound(signIn) || user === undefined || !record || signIn.ended === undefined) continue;
    for (const act of acts) {
      if (act.sights[0]?.user === user || act.logins.length > 0) continue;
      for (const { key, at } of act.everSet) {
        if (at > signIn.ended && act.began < signIn.began && record.values.has(`d:${key}`)) {
          violated("S19", act, `wrote "${key}" to a session of ${user}`);
        }
      }
    }
  }

  // A message is shown once at most, and waits until then.
  const shown = acts.flatMap((act) => act.popped);
  if (new Set(shown).size !== shown.length) found.push(`F1: a message was shown twice: ${shown}`);
  const isPopUncertain = acts.some(
    ({ hasFailed, status, visit }) =>
      (hasFailed || status === undefined) && visit.ops.some((op) => op.do === "pop"),
  );
  for (const act of acts) {
    if (!isSound(act) || isPopUncertain) continue;
    for (const { text, publicId = act.publicId } of act.left) {
      const record = liveById.get(publicId ?? "");
      if (!record || shown.includes(text)) continue;
      const waiting = [...record.values.values()].join("\n");
      if (!waiting.includes(`"${text}"`)) violated("F1", act, `lost the message ${text}`);
    }
  }

  // What was ended is ended for everybody who comes later, and somebody was told: of an end of all sessions
  // that was rejected, whoever repeats it.
  const isEndUncertain = acts.some(
    ({ hasFailed, status, visit }) =>
      (hasFailed || status === undefined) && visit.ops.some((op) => op.do === "destroyAll"),
  );
  for (const act of acts) {
    for (const { publicId, at } of act.destroyed) {
      if (liveById.has(publicId)) violated("S3", act, "ended a session that lives");
      const later = acts.find((it) => it.began > at && it.sights[0]?.publicId === publicId);
      if (later) violated("S3", later, "has a session that was ended before it came");
      if (!hasCrashed && !isEndUncertain && !reported.has(publicId))
        violated("S17", act, "ended a session unreported");
    }
    for (const { user, began, at } of act.destroyedAll) {
      const before = acts.filter(
        (it) => isSound(it) && it.ended !== undefined && it.ended < began && it.publicId,
      );
      for (const { publicId, sights } of before) {
        if (sights.at(-1)?.user !== user) continue;
        const later = acts.find(
          (it) =>
            it.began > at && it.sights[0]?.publicId === publicId && it.sights[0]?.user === user,
        );
        if (later) violated("S4", later, `is signed in after the end of all sessions of ${user}`);
      }
    }
  }
  for (const [publicId, times] of reported) {
    const ended = (creations.get(publicId) ?? 0) - (liveById.has(publicId) ? 1 : 0);
    if (times <= ended) continue;
    if (ended > 0) found.push(`S17: the end of one session was reported ${times} times`);
    else found.push("S17: the end of a session that lives was reported");
  }

  // No session lives that no client can hold.
  const sent = new Set(
    acts
      .flatMap((act) => act.setCookie)
      .map((line) => keyOf(/^[^=]+=([^;]*)/.exec(line)?.[1] ?? "")),
  );
  for (const [key, { publicId }] of live) {
    if (sent.has(key) || hasCrashed || late.has(publicId)) continue;
    found.push("S17: a session lives that no client holds");
  }
  return found;
}
