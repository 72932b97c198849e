// koa-session with a store as its documentation describes it: it brings none.
import Koa from "koa";
import { createSession } from "koa-session";

export const title = "koa-session";

const setUp = ({ watch }) => {
  const app = new Koa();
  app.keys = ["for this probe"];
  const sessions = new Map();
  const store = watch({
    get: async (key) => sessions.get(key),
    set: async (key, session) => {
      sessions.set(key, session);
    },
    destroy: async (key) => {
      sessions.delete(key);
    },
  });
  app.use(createSession({ store }, app));
  return app;
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
