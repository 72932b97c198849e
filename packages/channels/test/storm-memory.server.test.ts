import { stormOn } from "./storm/suite.ts";

stormOn("memory", async () => ({
  ...{ bus: "memory", port: 0 },
  async kill() {},
  async restart() {},
  open: async () => undefined,
  async stop() {},
}));
