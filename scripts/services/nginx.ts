import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { programPath } from "../servers.js";
import { onFreePort, ServerProcess, temporaryFolder } from "./server-process.ts";

/** A private nginx on loopback, before the processes of an app. */
export interface Nginx extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /**
   * Passes requests on to the processes at these ports alone, as a deployment does: by a reload, after
   * which connections that are open stay. Resolves when new connections follow it.
   */
  passTo(ports: readonly number[]): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

interface NginxOptions {
  /** Whether it keeps the responses that it may; `X-Cache` says what it did. Default: `false`. */
  readonly caches?: boolean;
}

export const startNginx = (ports: readonly number[], options: NginxOptions = {}): Promise<Nginx> =>
  onFreePort((port) => start(port, ports, options));

const start = async (
  port: number,
  first: readonly number[],
  { caches = false }: NginxOptions,
): Promise<Nginx> => {
  const folder = temporaryFolder("nginx");
  const file = join(folder.path, "nginx.conf");
  const url = `http://127.0.0.1:${port}`;
  let generation = 0;
  const write = (ports: readonly number[]) =>
    writeFileSync(file, config({ folder: folder.path, port, ports, generation, caches }));
  mkdirSync(join(folder.path, "temp"));
  write(first);
  const args = ["-p", folder.path, "-c", file, "-e", "stderr"];
  const server = new ServerProcess({
    program: "nginx",
    folder: folder.path,
    args,
    ready: /start worker process \d+/,
  });
  const stop = async () => {
    await server.kill();
    folder.remove();
  };
  try {
    await server.start();
  } catch (error) {
    folder.remove();
    throw error;
  }
  return {
    port,
    url,
    async passTo(ports) {
      generation += 1;
      write(ports);
      const reload = spawn(programPath("nginx"), [...args, "-s", "reload"], { stdio: "ignore" });
      const [code] = await once(reload, "exit");
      if (code !== 0) throw new Error(`nginx -s reload ended with ${code}`);
      for (;;) {
        const response = await fetch(`${url}/generation`, { headers: { Connection: "close" } });
        if ((await response.text()) === `${generation}`) return;
        await wait(10);
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
};

interface Settings {
  readonly folder: string;
  readonly port: number;
  readonly ports: readonly number[];
  readonly generation: number;
  readonly caches: boolean;
}

const config = ({ folder, port, ports, generation, caches }: Settings): string => `
${process.getuid?.() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/temp/body;
  proxy_temp_path ${folder}/temp/proxy;
  fastcgi_temp_path ${folder}/temp/fastcgi;
  uwsgi_temp_path ${folder}/temp/uwsgi;
  scgi_temp_path ${folder}/temp/scgi;
  ${caches ? `proxy_cache_path ${folder}/cache keys_zone=pages:1m;` : ""}
  upstream app {
    ${ports.map((it) => `server 127.0.0.1:${it};`).join(" ")}
    keepalive 16;
  }
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${port};
    location = /generation { return 200 "${generation}"; }
    location / {
      ${caches ? "proxy_cache pages; add_header X-Cache $upstream_cache_status always;" : ""}
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
`;
