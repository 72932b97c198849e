import type { App } from "./app.ts";
import type { Attached, Ledger, Seen } from "./ledger.ts";

/** A process of the app that has not crashed. */
interface Living {
  readonly worker: { readonly name: string };
  readonly app: App;
}

/** Returns what is not as it has to be some time after the last fault, in words. */
export function wrongAtRest(
  ledger: Ledger,
  processes: readonly Living[],
  all: readonly Seen[],
): string[] {
  const wrong: string[] = [];
  const pages = all.filter(({ page }) => page.worker.state !== "crashed");
  const living = new Set(processes.map(({ worker }) => worker.name));
  const listeners = ledger.attached.filter(
    ({ app, listener }) => living.has(app) && listener.endReason === undefined,
  );
  for (const seen of pages) {
    wrong.push(...wrongCalls(ledger, seen), ...wrongLine(ledger, seen), ...missing(ledger, seen));
  }
  for (const { app, listener } of listeners) {
    if (!ledger.endedSessions.has(listener.session ?? "")) continue;
    wrong.push(`C1: ${app} has a listener of a session that has ended`);
  }
  wrong.push(...wrongMembers(pages), ...wrongPresence(ledger, processes, listeners));
  wrong.push(...wrongEmpties(ledger, listeners));
  return wrong;
}

/** Codes of calls that may have been handled: once. */
const MAYBE_HANDLED = ["ERR_OUTCOME_UNKNOWN", "ERR_CALL_FAILED"];

function* wrongCalls({ handled }: Ledger, { page, calls }: Seen): Generator<string> {
  for (const { text, outcome } of calls) {
    if (outcome === undefined) yield `B2: the call "${text}" of ${page.name} never settles`;
    else if (outcome !== "" && !MAYBE_HANDLED.includes(outcome) && handled.includes(text)) {
      yield `B2: the call "${text}" was rejected with ${outcome}, and is handled`;
    }
  }
}

function* wrongLine(ledger: Ledger, { page, hasClosed, hasLeft }: Seen): Generator<string> {
  const { line, room, name, browser } = page;
  const { person } = browser;
  const mayBeOut = ledger.mayBeOut(person);
  if (line.state === "ended") {
    const { code } = line.error ?? {};
    const isRight = code === "ERR_CLOSED" ? hasClosed : code === "ERR_SIGNED_OUT" && mayBeOut;
    if (!isRight) yield `B3: ${name} has ended with ${code}`;
    return;
  }
  if (line.state !== "open") yield `B3: ${name} doesn't come back: it is ${line.state}`;
  if (room.state === "joining") yield `B1: ${name} doesn't join again`;
  const isOut = mayBeOut || ledger.denied.has(person);
  if (room.state === "left" && !hasLeft && !isOut) yield `B4: ${name} has left the room`;
  if (room.state === "joined" && ledger.removed.has(name)) {
    yield `B4: ${name} is in the room after remove has resolved`;
  }
}

/** The messages since a page joined: it has shown them all, or was told of a gap. */
function* missing({ stored, plan }: Ledger, seen: Seen): Generator<string> {
  const { page, last, joinedAt, hasGap } = seen;
  if (page.room.state !== "joined" || joinedAt === undefined || hasGap) return;
  const next = Math.max(last === undefined ? joinedAt : last + 1, joinedAt);
  if (next < stored.length)
    yield `B1: ${page.name} never shows "${stored[next]}" (${plan.retained})`;
}

function* wrongMembers(pages: readonly Seen[]): Generator<string> {
  const there = pages.filter(({ page }) => page.room.state === "joined");
  const people = namesOf(there.map(({ page }) => page.browser.person));
  for (const { page } of there) {
    const shown = page.room.members.map(({ data }) => String(data.name));
    if (shown.length !== new Set(shown).size) yield `C8: ${page.name} shows somebody twice`;
    if (namesOf(shown) === people) continue;
    yield `C8: ${page.name} shows ${namesOf(shown)} in the room, and there are ${people}`;
  }
}

const namesOf = (names: readonly string[]): string => [...new Set(names)].sort().join(" and ");

function* wrongPresence(
  ledger: Ledger,
  processes: readonly Living[],
  listeners: readonly Attached[],
): Generator<string> {
  for (const person of new Set(ledger.plan.pages.map((it) => it.person))) {
    const count = listeners.filter(({ listener }) => listener.user === person).length;
    for (const { worker, app } of processes) {
      const presence = app.clients.presence({ user: person });
      if (presence.listeners === count && presence.exact) continue;
      yield `C8: ${worker.name} counts ${presence.listeners} listeners of ${person}, not ${count}`;
    }
  }
}

/** Whoever has left was reported as gone by a process that lives. */
function* wrongEmpties(ledger: Ledger, listeners: readonly Attached[]): Generator<string> {
  for (const person of new Set(ledger.plan.pages.map((it) => it.person))) {
    const was = ledger.attached.findLast(({ listener }) => listener.user === person);
    if (!was || listeners.some(({ listener }) => listener.user === person)) continue;
    const isReported = ledger.empties.some(({ of, after }) => of === person && after.includes(was));
    if (!isReported && !ledger.hasFault("crash")) yield `C8: nobody reports that ${person} is gone`;
  }
  if (!ledger.isCalm) return;
  const ids = ledger.empties.map(({ of, id }) => `${of} (${id})`);
  const twice = ids.find((id, at) => ids.indexOf(id) < at);
  if (twice !== undefined) yield `C8: "empty" is emitted twice for ${twice}`;
}
