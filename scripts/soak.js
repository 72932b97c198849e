// `npm run soak`: people with cookie jars and live tabs use two apps on Redis, NATS and PostgreSQL, while
// what these stand on is killed, frozen and cut. `-- --minutes 60` for an hour, `-- --people 50` for fewer.
import { join } from "node:path";
import { root, runNode } from "./node.js";
import { installServers } from "./servers.js";

installServers();
process.exitCode = await runNode([
  ...["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning"],
  join(root, "scripts/soak/main.ts"),
  ...process.argv.slice(2),
]);
