import { after } from "@lanai/connection/deadline";

/** Resolves as `promise` does; if that takes longer than `ms`, to what `late` returns, or `undefined`. */
export async function within<T>(
  promise: Promise<T>,
  ms: number,
  late: () => T | undefined = () => undefined,
): Promise<T | undefined> {
  const timeout = Promise.withResolvers<void>();
  const cancel = after(ms, timeout.resolve);
  try {
    return await Promise.race([promise, timeout.promise.then(late)]);
  } finally {
    cancel();
  }
}
