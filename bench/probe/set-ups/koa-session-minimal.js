// koa-session-minimal with its MemoryStore.
import Koa from "koa";
import session from "koa-session-minimal";
import MemoryStore from "koa-session-minimal/src/memory_store.js";

export const title = "koa-session-minimal";

const setUp = ({ watch }) => {
  const app = new Koa();
  app.use(session({ store: watch(new MemoryStore()) }));
  return app;
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
