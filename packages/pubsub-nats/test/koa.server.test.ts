import { createPubSub } from "@lanai/pubsub";
import { test } from "vitest";
import { startNats } from "../../../scripts/services/nats.ts";
import { comeAndLeave } from "../../pubsub/test/come-and-leave.ts";
import { openBackend } from "./fixture.ts";
import { subscriptionsOf } from "./servers.ts";

test("thousands of subscribers come and leave through Koa, and nothing of them remains", async () => {
  await using server = await startNats();
  await using opened = await openBackend(server);
  const bus = createPubSub({ backend: opened.backend });
  await bus.ensureStream({ name: "rooms", subjects: ["room.kept.>"] });
  await comeAndLeave(bus, () => subscriptionsOf(server));
});
