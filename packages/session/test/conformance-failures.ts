type Case = () => Promise<void>;

/** Runs a conformance suite by itself and answers which of its tests fail. */
export async function failuresOf(
  register: (test: (name: string, fn: Case) => void) => void,
): Promise<string[]> {
  const cases = new Map<string, Case>();
  register((name, fn) => cases.set(name, fn));
  const failures: string[] = [];
  for (const [name, fn] of cases) {
    await fn().catch(() => failures.push(name.replace("x: ", "")));
  }
  return failures;
}
