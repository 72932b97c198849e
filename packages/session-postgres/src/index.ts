export type { PostgresClient, PostgresPool, PostgresStoreOptions } from "./options.ts";
export { type PostgresStore, postgresStore } from "./postgres-store.ts";
