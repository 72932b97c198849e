// Express without sessions, beside the Express variants.
import { expressApp } from "../lib/express-app.js";

export const variant = () => expressApp();
