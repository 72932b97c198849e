declare module "koa-redis" {
  interface KoaRedis {
    get(key: string): Promise<unknown>;
    set(key: string, session: object, ttl?: number): Promise<void>;
    destroy(key: string): Promise<void>;
    quit(): Promise<void>;
    readonly client: {
      pttl(key: string): Promise<number>;
      keys(pattern: string): Promise<string[]>;
    };
  }
  // biome-ignore lint/style/noDefaultExport: what the package exports
  export default function koaRedis(options: {
    host?: string;
    port?: number;
    client?: object;
  }): KoaRedis;
}
