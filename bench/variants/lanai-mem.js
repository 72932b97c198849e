// @lanai/session with its memory store.
import { memoryStore } from "@lanai/session";
import { lanaiApp } from "../lib/lanai-app.js";

export const variant = () => lanaiApp({ store: memoryStore() });
