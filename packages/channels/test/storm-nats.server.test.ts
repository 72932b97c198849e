import { natsPubSub } from "@lanai/pubsub-nats";
import { connect } from "@nats-io/transport-node";
import { startNats } from "../../../scripts/services/nats.ts";
import { stormOn } from "./storm/suite.ts";

stormOn("NATS", async () => {
  const server = await startNats();
  const servers = `127.0.0.1:${server.port}`;
  const connection = await connect({
    ...{ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50, timeout: 1_000 },
  });
  return {
    ...{ bus: "nats", port: server.port },
    kill: () => server.kill(),
    restart: () => server.restart(),
    open: async () => natsPubSub(connection, { timeout: 1_000 }),
    async stop() {
      await connection.close();
      await server.stop();
    },
  };
});
