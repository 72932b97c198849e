import { userInfo } from "node:os";

// As root nginx gives its workers to nobody, who may not use the sockets.
const user = process.getuid?.() === 0 ? `user ${userInfo().username};\n` : "";

/** Returns the configuration of an nginx in front of the processes, all of whose files are in a folder. */
export const nginxConfig = (at: {
  readonly folder: string;
  readonly port: number;
  readonly sockets: readonly string[];
}): string => `${user}daemon off;
worker_processes 1;
pid ${at.folder}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${at.folder}/body;
  proxy_temp_path ${at.folder}/proxy;
  fastcgi_temp_path ${at.folder}/fastcgi;
  uwsgi_temp_path ${at.folder}/uwsgi;
  scgi_temp_path ${at.folder}/scgi;

  upstream porch {
${at.sockets.map((socket) => `    server unix:${socket} max_fails=1 fail_timeout=1s;`).join("\n")}
  }
  map $http_upgrade $connection_upgrade {
    default upgrade;
    "" "";
  }
  server {
    listen 127.0.0.1:${at.port};
    location / {
      proxy_pass http://porch;
      proxy_http_version 1.1;
      # The app compares the Origin of a page with the host that the browser sees. By default nginx
      # sends the name of the upstream, and passes on the X-Forwarded headers that a client made up.
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      # Server-sent events and WebSockets may be silent for longer than a minute.
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_connect_timeout 2s;
    }
  }
}
`;
