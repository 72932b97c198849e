/** Returns the owner that stands for a user in the store's index. */
export function userOwner(userId: string): string {
  return `user:${userId}`;
}

/** @throws TypeError if `userId` is no string of 1 to 256 well-formed characters without U+0000. */
export function checkUserId(userId: unknown): void {
  const isOne =
    typeof userId === "string" &&
    userId !== "" &&
    userId.length <= 256 &&
    userId.isWellFormed() &&
    !userId.includes("\0");
  if (isOne) return;
  throw new TypeError(
    "login(userId): userId must be a string of 1 to 256 well-formed characters without U+0000",
  );
}
