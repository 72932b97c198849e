// koa-generic-session with its MemoryStore.
import Koa from "koa";
import session from "koa-generic-session";

export const title = "koa-generic-session";

const setUp = ({ watch }) => {
  const app = new Koa();
  app.keys = ["for this probe"];
  app.use(session({ store: watch(new session.MemoryStore()) }));
  return app;
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
