/** Options of a client under which no session can be stored, with what is wrong about them. */
const REFUSED: Readonly<Record<string, readonly [value: unknown, why: string]>> = {
  monitor: [true, "a connection that monitors takes no commands"],
  readOnly: [true, "a replica takes no writes"],
  role: ["slave", "a replica takes no writes"],
};

/**
 * Checks the options that the app's client was made with. The README lists what all others change.
 *
 * @throws TypeError for one under which a promise can't hold.
 */
export function checkClient(redis: { readonly options?: unknown }): void {
  const { redisOptions = {}, ...own } = (redis.options ?? {}) as Record<string, object>;
  const options: Readonly<Record<string, unknown>> = { ...redisOptions, ...own };
  for (const [name, [value, why]] of Object.entries(REFUSED)) {
    if (options[name] !== value) continue;
    throw new TypeError(`redisStore: the client must not have ${name}: ${value}: ${why}`);
  }
}
