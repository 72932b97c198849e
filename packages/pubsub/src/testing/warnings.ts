type Emit = typeof process.emitWarning;

/** The texts that are looked for in warnings, and where what has them is kept. */
const expected = new Map<string, string[]>();
let emit: Emit | undefined;

function sort(warning: string | Error, ...more: unknown[]): void {
  const text = warning instanceof Error ? warning.message : warning;
  for (const [part, caught] of expected) {
    if (!text.includes(part)) continue;
    caught.push(text);
    return;
  }
  (emit as (...args: unknown[]) => void)(warning, ...more);
}

/**
 * Keeps process warnings whose text has `part` from the terminal until `restore`; `caught` gets them.
 * Others are written as always. Several may be caught at once.
 */
export function catchWarnings(part: string): { caught: readonly string[]; restore(): void } {
  const caught: string[] = [];
  if (expected.size === 0) {
    emit = process.emitWarning;
    process.emitWarning = sort as Emit;
  }
  expected.set(part, caught);
  return {
    caught,
    restore() {
      expected.delete(part);
      if (expected.size === 0 && emit) process.emitWarning = emit;
    },
  };
}
