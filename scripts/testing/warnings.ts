import { onTestFinished, vi } from "vitest";

/**
 * Keeps process warnings from the terminal until the running test ends, and returns the texts of those
 * that came, to which it adds.
 */
export function captureWarnings(): readonly string[] {
  const caught: string[] = [];
  const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation((warning) => {
    caught.push(warning instanceof Error ? warning.message : warning);
  });
  onTestFinished(() => emitWarning.mockRestore());
  return caught;
}
