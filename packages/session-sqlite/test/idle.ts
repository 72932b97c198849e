// Opens a store and has nothing more to do.
import { sqliteStore } from "../src/index.ts";

sqliteStore(process.argv[2] as string);
