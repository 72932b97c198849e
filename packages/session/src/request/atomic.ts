import { decode, encode } from "./codec.ts";
import { goneError } from "./failures.ts";
import type { RequestState } from "./request-state.ts";
import { CONFLICT, retry } from "./retry.ts";

/** Takes entries out, at once and in one commit: whoever commits first has them. */
export async function pop(
  request: RequestState,
  names: readonly string[],
): Promise<Map<string, unknown>> {
  const { draft } = request;
  draft.noticeChangesInPlace();
  // Taken at once: another pop of this request must not find it again.
  const wanted = names.filter((name) => draft.pending(name) || !draft.isPending(name));
  const taken = draft.take(wanted);
  try {
    const popped = await popStored(request, wanted);
    if (popped === undefined) return new Map();
    draft.forget(taken);
    for (const [name, { value }] of taken) popped.set(name, value);
    return popped;
  } catch (error) {
    draft.giveBack(taken);
    throw error;
  }
}

/** Resolves to `undefined` if the session has ended. */
function popStored(
  request: RequestState,
  names: readonly string[],
): Promise<Map<string, unknown> | undefined> {
  return retry<Map<string, unknown> | undefined>(async () => {
    const { stored } = request;
    const expect = new Map<string, string>();
    const values = new Map<string, unknown>();
    for (const name of names) {
      const text = stored?.record.values.get(name);
      if (text === undefined) continue;
      expect.set(name, text);
      // Decoded first, because a value that can't be decoded must not be removed. And anew for
      // each attempt: after
      // a conflict the object that `get` has returned is of an older value.
      values.set(name, decode(text, name));
    }
    if (stored === undefined || expect.size === 0) return values;
    const change = { delete: new Set(expect.keys()), expect, touch: true } as const;
    const result = await request.commitTo(stored, change);
    if (result.status === "conflict") return CONFLICT;
    if (result.status === "gone") {
      request.losesToEnd();
      return undefined;
    }
    // By an old id, only a value that nobody has changed since can be taken out.
    if (result.status === "renewed") return new Map();
    for (const name of expect.keys()) request.draft.forgetWatched(name);
    return values;
  });
}

/** Replaces an entry by what `change` makes of it, however many do so at the same time. */
export async function update(
  request: RequestState,
  name: string,
  change: (value: unknown) => unknown,
): Promise<unknown> {
  const { draft } = request;
  draft.noticeChangesInPlace();
  return retry<unknown>(async () => {
    mustAcceptUpdates(request);
    const { stored } = request;
    const text = stored?.record.values.get(name);
    const pending = draft.pending(name);
    const wasPending = draft.isPending(name);
    const before = draft.text(name, stored?.record);
    // Decoded anew for each attempt: `change` may change it in place.
    const value = await change(before === undefined ? undefined : decode(before, name));
    const next = value === undefined ? undefined : encode(value, name);
    const isStill = draft.isPending(name) === wasPending && draft.isStill(name, pending);
    if (stored === undefined || stored !== request.stored) {
      // Another call of this request was faster.
      if (!isStill || stored !== request.stored) return CONFLICT;
      draft.put(name, next === undefined ? undefined : { value, text: next });
      return value;
    }
    if (next !== text) {
      const result = await request.commitTo(stored, {
        ...(next === undefined ? { delete: new Set([name]) } : { set: new Map([[name, next]]) }),
        expect: new Map([[name, text]]),
        touch: true,
      });
      if (result.status === "conflict") return CONFLICT;
      if (result.status === "gone") throw request.losesToEnd();
      if (result.status === "renewed") throw request.refusesRenewed();
      draft.forgetWatched(name);
    }
    if (draft.isStill(name, pending)) draft.withdraw(name);
    return value;
  });
}

/** An update resolves only if its value is stored, or will be. */
function mustAcceptUpdates(request: RequestState): void {
  if (request.draft.renewal === "login") return;
  if (request.status === "gone") throw goneError();
  if (request.status === "renewed") throw request.refusesRenewed();
}
