import { createSessions, type Sessions } from "@lanai/session";
import { plainSession } from "@lanai/session-compat";
import type Koa from "koa";
import passport from "koa-passport";

export const usePassport = (app: Koa): Sessions => {
  const sessions = createSessions({ property: "lanai" });
  app.use(sessions.middleware());
  app.use(plainSession(sessions));
  app.use(passport.initialize());
  app.use(passport.session());
  return sessions;
};
