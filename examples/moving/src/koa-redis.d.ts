declare module "koa-redis" {
  import type { KoaStore } from "@lanai/session-compat";

  // biome-ignore lint/style/noDefaultExport: what the package exports
  export default function koaRedis(options: { url?: string | undefined }): KoaStore;
}
