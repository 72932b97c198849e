import { hash } from "node:crypto";
import type { Id } from "../id-generator.ts";
import type { Key } from "../store.ts";

/** The key of an id: a store never sees what would let its reader in. */
export const keyOf = (id: Id): Key => `${id.slice(0, 2)}.${hash("sha256", id, "base64url")}`;
