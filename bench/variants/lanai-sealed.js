// @lanai/session with the whole session in an encrypted cookie.
import { sealedStore } from "@lanai/session";
import { SECRET } from "../lib/config.js";
import { lanaiApp } from "../lib/lanai-app.js";

export const variant = () => lanaiApp({ store: sealedStore({ context: "app", keys: [SECRET] }) });
