import { readdirSync } from "node:fs";

const folder = new URL("../variants/", import.meta.url);

/** Ours first, and then in alphabetical order. */
export const variantNames = readdirSync(folder)
  .map((file) => file.replace(/\.js$/, ""))
  .sort((a, b) => Number(isOurs(b)) - Number(isOurs(a)) || (a < b ? -1 : 1));

export function isOurs(name) {
  return name.startsWith("lanai-");
}

/** Keeps its sessions in the Redis that `run.js` starts. */
export const needsRedis = (name) => name.endsWith("-redis");

/** Without sessions: what the others are compared with. */
export const isBare = (name) => name.startsWith("bare-");

export const isOnKoa = (name) => !/express|fastify/.test(name);

export const loadVariant = async (name) => {
  const { variant } = await import(new URL(`${name}.js`, folder).href);
  return variant;
};
