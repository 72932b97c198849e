// Tries the built packages on the Node that runs this, which has to be the oldest that they promise:
// `npm exec --yes --package=node@22.13.0 -- node scripts/oldest-node.js`, after `npm run build`.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Koa from "koa";
import { root } from "./node.js";

const packages = readdirSync(join(root, "packages")).map((folder) =>
  JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8")),
);

/** Every module that a package exports, by the name that its users import. */
const importAll = async () => {
  const modules = {};
  for (const { name, engines, exports } of packages) {
    const [oldest] = /\d.*/.exec(engines.node);
    assert.ok(
      process.versions.node.startsWith(`${oldest}.`),
      `${name} promises Node ${oldest}, this is ${process.version}`,
    );
    for (const path of Object.keys(exports)) {
      if (path === "./package.json") continue;
      const module = name + path.slice(1);
      modules[module] = await import(module);
    }
  }
  return modules;
};

const appOf = (modules) => {
  const { session } = modules["@lanai/session"];
  const { sqliteStore } = modules["@lanai/session-sqlite"];
  const { flash } = modules["@lanai/flash"];
  const { pubsub } = modules["@lanai/pubsub"];
  const app = new Koa();
  app.use(session({ store: sqliteStore(":memory:") }));
  app.use(flash());
  app.use(pubsub());
  app.use(async (ctx) => {
    if (ctx.path === "/sign-in") {
      ctx.session.login("ada");
      ctx.flash.success("Welcome");
      return ctx.redirect("/");
    }
    const names = ctx.pubsub.events("names");
    await ctx.pubsub.publish("names", ctx.session.userId);
    const { value } = await names.next();
    ctx.body = { user: value.data, messages: await ctx.flash.pop() };
  });
  return app;
};

const run = async () => {
  const modules = await importAll();
  const server = appOf(modules).listen(0);
  await once(server, "listening");
  try {
    const url = `http://localhost:${server.address().port}`;
    const signedIn = await fetch(`${url}/sign-in`, { redirect: "manual" });
    const [cookie] = signedIn.headers.getSetCookie().map((line) => line.split(";")[0]);
    const page = await (await fetch(url, { headers: { cookie } })).json();
    assert.deepEqual(page, {
      user: "ada",
      messages: [{ level: "success", message: "Welcome" }],
    });
  } finally {
    server.close();
    server.closeAllConnections();
  }
  console.log(`${Object.keys(modules).length} modules and a signed-in request: ${process.version}`);
};

run().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
