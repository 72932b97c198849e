// One variant as a process of its own: `node server.js <variant> <port>`.
import { loadVariant } from "./variants.js";

const [name, port] = process.argv.slice(2);
// A peer's stray rejection must not end its server.
process.on("unhandledRejection", () => {});
process.on("disconnect", () => process.exit());

const serve = async () => {
  const app = await (await loadVariant(name))();
  const server = await app.listen(Number(port));
  server.keepAliveTimeout = 120_000;
  process.send("ready");
};

serve().catch((error) => {
  console.error(error);
  process.exit(1);
});
