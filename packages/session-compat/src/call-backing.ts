import { within } from "@lanai/connection/deadline";

/** Milliseconds: longer than anybody waits, so that a lost answer holds no session for ever. */
const GIVE_UP = 30_000;

/**
 * Makes a call of a wrapped store settle: with its result, or with an error that holds no key and
 * no value. A store that throws at once rejects.
 */
export async function callBacking<T>(call: () => PromiseLike<T> | T): Promise<T> {
  try {
    return await within(GIVE_UP, call(), tooLate, { unref: true });
  } catch (error) {
    throw withoutSecrets(error);
  }
}

function tooLate(): never {
  throw new Error(`no answer within ${GIVE_UP} ms: is it the kind of store it was wrapped as?`);
}

/**
 * Clients put the command, its arguments and pieces of what they read into errors: what is kept is
 * the code, and the message up to the first quotation.
 */
function withoutSecrets(error: unknown): Error {
  const { message, code } = (error ?? {}) as { message?: unknown; code?: unknown };
  const [unquoted] = typeof message === "string" ? message.split(/["'`]/, 1) : [];
  const told = new Error(`the wrapped store failed: ${unquoted?.trim() || "it didn't say why"}`);
  return typeof code === "string" ? Object.assign(told, { code }) : told;
}
