import type { StoreModule } from "@lanai/session/testing";
import { sqliteStore } from "../src/index.ts";

/** For processes that are told the path. */
export const openStore: StoreModule["openStore"] = (path) => sqliteStore(path as string);
