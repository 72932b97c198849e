import { encrypted } from "@lanai/session";
import type { StoreModule } from "@lanai/session/testing";
import { sqliteStore } from "../src/index.ts";

/** For processes that are told the path, and share the key. */
export const openStore: StoreModule["openStore"] = (path) =>
  encrypted(sqliteStore(path as string), { keys: ["a key of thirty-two bytes or more!"] });
