import { type Clients, createClients } from "@lanai/clients";
import { flash } from "@lanai/flash";
import { type Bus, createPubSub } from "@lanai/pubsub";
import { sameOrigin } from "@lanai/same-origin";
import type { Sessions } from "@lanai/session";
import Koa from "koa";
import { account } from "./account.ts";
import { acting } from "./acting.ts";
import { assets } from "./assets.ts";
import { declareChannels, type Live } from "./channels.ts";
import { confirm } from "./confirm.ts";
import { demos } from "./demos.ts";
import { devices } from "./devices.ts";
import { errorPages } from "./errors.ts";
import { firstPage } from "./first-page.ts";
import { live } from "./live.ts";
import { passwordCheck } from "./password.ts";
import { rooms } from "./rooms.ts";
import { securityHeaders } from "./security.ts";

export interface Porch {
  readonly app: Koa;
  readonly clients: Clients;
  readonly channels: Live;
}

/** The app, on any sessions and any bus: any store, any tracker, any backend. A test may hold the clock. */
export async function porch(
  sessions: Sessions,
  bus: Bus = createPubSub(),
  clock: () => number = Date.now,
): Promise<Porch> {
  const clients = createClients({ sessions, pubsub: bus });
  const channels = declareChannels(clients, bus);
  // What a tab may miss while its connection is lost.
  await bus.ensureStream({ name: "rooms", subjects: ["channels.>"], maxMsgs: 1_000 });

  const isRight = passwordCheck(clock);
  const app = new Koa();
  app.use(securityHeaders);
  app.use(assets);
  app.use(errorPages);
  app.use(sameOrigin());
  app.use(sessions.middleware());
  app.use(flash());
  app.use(bus.middleware());
  for (const router of [
    firstPage(),
    live(clients, channels),
    demos({ bus, clients, channels }),
    account(clients, isRight),
    confirm(clients, isRight),
    acting(),
    devices(clients, sessions),
    rooms(channels),
  ]) {
    app.use(router.routes());
    app.use(router.allowedMethods());
  }
  return { app, clients, channels };
}
