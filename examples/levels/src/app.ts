import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, type Sessions } from "@lanai/session";
import Koa, { type Middleware } from "koa";

interface State {
  steps?: string[];
}

/** A middleware that only says that it was here. */
const step =
  (name: string): Middleware<State> =>
  (ctx, next) => {
    ctx.state.steps ??= [];
    ctx.state.steps.push(name);
    return next();
  };

const answer: Middleware<State> = (ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `${ctx.state.steps?.join(" > ")} > visit ${visits}\n`;
};

/** One app with middlewares at its three levels, the sessions among them. */
export function levels(sessions: Sessions = createSessions({ store: memoryStore() })): Koa {
  const app = new Koa();

  // Every request.
  app.use(sameOrigin());
  app.use(step("global 1"));
  app.use(sessions.middleware());
  app.use(step("global 2"));

  // A group: the routes under /group. The sessions are there already: mounted again they cost nothing.
  const group = new Router<State>();
  group.use(step("group 1"));
  group.use(sessions.middleware());
  group.use(step("group 2"));
  group.get("/", answer);

  // One route: its own array.
  group.get("/route", step("route 1"), sessions.middleware(), step("route 2"), answer);

  const router = new Router<State>();
  router.get("/", answer);
  router.use("/group", group.routes());
  app.use(router.routes());

  // A group without a prefix, a pure scope: a router of its own, given to the app.
  const scope = new Router<State>();
  scope.use(step("scope"));
  scope.get("/scoped", answer);
  app.use(scope.routes());

  const open = new Router<State>();
  open.get("/open", answer);
  app.use(open.routes());

  return app;
}
