import session from "express-session";
import { LIFETIME, SECRET } from "./config.js";

/** express-session as its documentation advises: without needless writes. */
export const expressSession = (store) =>
  session({
    name: "sid",
    secret: SECRET,
    store,
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: LIFETIME },
  });

/** What express-session puts beside the data, for a store that is filled without it. */
export const expressCookie = () => ({
  originalMaxAge: LIFETIME,
  maxAge: LIFETIME,
  expires: new Date(Date.now() + LIFETIME).toISOString(),
  httpOnly: true,
  path: "/",
});
