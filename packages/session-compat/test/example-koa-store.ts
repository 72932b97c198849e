import { createSessions, type Sessions } from "@lanai/session";
import { fromKoaStore } from "@lanai/session-compat";
import koaRedis from "koa-redis";

export const sessionsInRedis = (host: string, port: number): Sessions =>
  createSessions({ store: fromKoaStore(koaRedis({ host, port }), { prefix: "app:" }) });
