import { startRedis } from "../services/redis.ts";

/** A process that starts a server, tells its port, and never stops it. */
startRedis().then(
  ({ port }) => process.send?.(port),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
