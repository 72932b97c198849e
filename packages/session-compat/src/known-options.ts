/** @throws {TypeError} for an option that doesn't exist: a misspelt one must not pass for set. */
export const knownOptions = (owner: string, options: object, known: readonly string[]): void => {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(
        `${owner}: there is no option "${name}": its options are ${known.join(", ")}`,
      );
    }
  }
};
