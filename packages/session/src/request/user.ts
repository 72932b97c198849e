/** Returns the owner that stands for a user in the store's index. */
export function userOwner(userId: string): string {
  return `user:${userId}`;
}

/** Whether a value names a user. A stored entry that doesn't is that of nobody who is signed in. */
export const isUserId = (value: unknown): value is string =>
  typeof value === "string" &&
  value !== "" &&
  value.length <= 256 &&
  value.isWellFormed() &&
  !value.includes("\0");

/** @throws TypeError if `userId` is no string of 1 to 256 well-formed characters without U+0000. */
export function checkUserId(userId: unknown): void {
  if (isUserId(userId)) return;
  throw new TypeError(
    "login(userId): userId must be a string of 1 to 256 well-formed characters without U+0000",
  );
}
