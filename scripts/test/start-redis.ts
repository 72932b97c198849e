import { Redis } from "ioredis";
import { startRedis } from "../services/redis.ts";

/** A process that starts a server, tells its port and its files' folder, and never stops it. */
startRedis().then(
  async ({ host, port }) => {
    const client = new Redis({ host, port });
    const [, folder] = (await client.config("GET", "dir")) as string[];
    client.disconnect();
    process.send?.({ port, folder });
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
