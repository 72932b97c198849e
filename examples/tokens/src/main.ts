import { randomBytes } from "node:crypto";
import { createSessions } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import { api } from "./api.ts";
import { page } from "./page.ts";

const port = Number(process.env.PORT ?? 3000);
const apiOrigin = `http://localhost:${port}`;
const pagePort = Number(process.env.PAGE_PORT ?? 3001);
const pageOrigin = `http://localhost:${pagePort}`;

const sessions = createSessions({
  tracker: jwtTracker({
    // Of your own app it is in its environment, the same in all its processes.
    secret: process.env.SESSION_SECRET ?? randomBytes(32),
    issuer: apiOrigin,
  }),
});

api(sessions, pageOrigin).listen(port);
page(apiOrigin).listen(pagePort, () => {
  console.log(`The page is at ${pageOrigin}, the API at ${apiOrigin}`);
});
