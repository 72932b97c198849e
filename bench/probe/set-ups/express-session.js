// express-session with its MemoryStore.
import express from "express";
import session from "express-session";

export const title = "express-session";

const setUp = ({ watch }) => {
  const app = express();
  const store = watch(new session.MemoryStore());
  app.use(session({ secret: "for this probe", store, resave: false, saveUninitialized: false }));
  return app;
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
