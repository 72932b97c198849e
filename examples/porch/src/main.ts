import type { AddressInfo } from "node:net";
import { porch } from "./app.ts";

const port = process.env.PORT ?? "3000";

const server = porch().listen(port, () => {
  const address = server.address() as AddressInfo;
  console.log(`The porch is open: http://localhost:${address.port}`);
});

server.once("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EADDRINUSE") throw error;
  console.error(`Port ${port} is taken. Choose another one: PORT=3001 npm start`);
  process.exitCode = 1;
});
