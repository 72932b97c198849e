import { afterAll, beforeAll } from "vitest";
import { type PostgresServer, startPostgres } from "../../../scripts/services/postgres.ts";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { keeps } from "./keeps.ts";

let redis: RedisServer;
let postgres: PostgresServer;

beforeAll(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
});

afterAll(async () => {
  await Promise.all([redis.stop(), postgres.stop()]);
});

keeps("redis", () => ({ REDIS_URL: `redis://${redis.host}:${redis.port}` }));

keeps("postgres", () => {
  const { host, port, user, database } = postgres.connection;
  return { PGHOST: host, PGPORT: `${port}`, PGUSER: user, PGDATABASE: database };
});
