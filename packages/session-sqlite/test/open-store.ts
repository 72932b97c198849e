import type { StoreModule } from "../../session/test/two-processes/store-at.ts";
import { sqliteStore } from "../src/index.ts";

/** For processes that are told the path. */
export const openStore: StoreModule["openStore"] = (path) => sqliteStore(path as string);
