/** Milliseconds: longer than anybody waits, so that a lost answer holds no session for ever. */
const GIVE_UP = 30_000;

/**
 * Makes a call of a wrapped store end, with its answer or an error that tells no key and no value.
 * A store that throws at once rejects.
 */
export const ask = async <T>(call: () => PromiseLike<T> | T): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new Error(`no answer within ${GIVE_UP} ms: is it the kind of store it was wrapped as?`),
      );
    }, GIVE_UP).unref();
  });
  try {
    return await Promise.race([call(), tooLate]);
  } catch (error) {
    throw withoutSecrets(error);
  } finally {
    clearTimeout(timer);
  }
};

/**
 * Clients put the command, its arguments and pieces of what they read into errors: what is kept is
 * the code, and the message up to the first quotation.
 */
const withoutSecrets = (error: unknown): Error => {
  const { message, code } = (error ?? {}) as { message?: unknown; code?: unknown };
  const [unquoted] = typeof message === "string" ? message.split(/["'`]/, 1) : [];
  const told = new Error(`the wrapped store failed: ${unquoted?.trim() || "it didn't say why"}`);
  return typeof code === "string" ? Object.assign(told, { code }) : told;
};
