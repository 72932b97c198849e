// Fastify without sessions, beside the Fastify variants.
import { fastifyApp } from "../lib/fastify-app.js";

export const variant = () => fastifyApp();
