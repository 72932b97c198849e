import { mkdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { createSessions } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import { porch } from "./app.ts";

const port = process.env.PORT ?? "3000";
const file = process.env.SESSIONS ?? join(import.meta.dirname, "../data/sessions.db");

mkdirSync(dirname(file), { recursive: true });
const sessions = createSessions({ store: sqliteStore(file) });

const server = porch(sessions).listen(port, () => {
  const address = server.address() as AddressInfo;
  console.log(`The porch is open: http://localhost:${address.port}`);
});

server.once("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EADDRINUSE") throw error;
  console.error(`Port ${port} is taken. Choose another one: PORT=3001 npm start`);
  process.exitCode = 1;
});
