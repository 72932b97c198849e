// @lanai/session with its memory store, loaded only by routes that ask.
import { memoryStore } from "@lanai/session";
import { lanaiApp } from "../lib/lanai-app.js";

export const variant = () => lanaiApp({ store: memoryStore(), load: "lazy" });
