// No package: the least that a session with a store has to do, without its laws. It finds the cookie,
// checks and hashes the id, asks the store, decodes what is read, encodes and commits what is
// written. What any package could gain on a machine is what lies between it and this.
import { hash, randomBytes } from "node:crypto";
import { parseCookie } from "cookie";
import { fiveKeys, nextNumber } from "../lib/data.js";
import { koaApp } from "../lib/koa-app.js";

const ID = /^[A-Za-z0-9_-]{43}$/;
const keyOf = (id) => hash("sha256", id, "base64url");

const memory = () => {
  const records = new Map();
  return {
    records,
    load: async (key) => records.get(key),
    async commit(key, changes) {
      const values = records.get(key);
      if (values === undefined) records.set(key, changes);
      else for (const [name, text] of changes) values.set(name, text);
    },
  };
};

const sessions = (store) => async (ctx, next) => {
  const { cookie } = ctx.req.headers;
  const id = cookie && parseCookie(cookie).sid;
  const key = id && ID.test(id) ? keyOf(id) : undefined;
  const values = key && (await store.load(key));
  let changes;
  ctx.session = {
    key,
    get: (name) => values?.has(name) && JSON.parse(values.get(name)),
    set(name, value) {
      changes ??= new Map();
      changes.set(name, JSON.stringify(value));
    },
    dump: () => Object.fromEntries([...(values ?? [])].map(([k, v]) => [k, JSON.parse(v)])),
  };
  await next();
  if (changes === undefined) return;
  if (values) return store.commit(key, changes);
  const fresh = randomBytes(32).toString("base64url");
  await store.commit(keyOf(fresh), changes);
  ctx.set("Set-Cookie", `sid=${fresh}; path=/; httponly`);
};

export const variant = () => {
  const store = memory();
  return koaApp({
    install: (app) => app.use(sessions(store)),
    handlers: {
      login(ctx) {
        for (const [key, value] of Object.entries(fiveKeys())) ctx.session.set(key, value);
      },
      read: (ctx) => ctx.session.get("name"),
      write: (ctx) => ctx.session.set("n", nextNumber()),
      dump: (ctx) => ctx.session.dump(),
      logout: (ctx) => store.records.delete(ctx.session.key),
    },
    count: () => store.records.size,
  });
};
