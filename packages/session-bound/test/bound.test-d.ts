import { type Clients, createClients, type Listener } from "@lanai/clients";
import { createSessions } from "@lanai/session";
import { type BoundDevice, boundDevice, boundSessions, requireBound } from "@lanai/session-bound";
import Koa from "koa";
import { expectTypeOf } from "vitest";

const sessions = createSessions();
const clients = createClients({ sessions });
const bound = boundSessions({ sessions, clients });
const app = new Koa();

app.use(bound);
app.use(requireBound({ unbound: "allow" }));
app.use(async (ctx) => {
  expectTypeOf(bound.deviceOf(ctx)).toEqualTypeOf<BoundDevice | undefined>();
  expectTypeOf(bound.clients).toEqualTypeOf<Clients>();
  expectTypeOf(await bound.clients.attach(ctx)).toEqualTypeOf<Listener>();
});
expectTypeOf(boundDevice(undefined)).toEqualTypeOf<BoundDevice | undefined>();

// @ts-expect-error The sessions are needed.
boundSessions({});
// @ts-expect-error There is no such policy.
boundSessions({ sessions, require: "sometimes" });
// @ts-expect-error There is no such algorithm.
boundSessions({ sessions, algorithms: ["HS256"] });
// @ts-expect-error Not for those who are not signed in.
requireBound({ unbound: "redirect" });
