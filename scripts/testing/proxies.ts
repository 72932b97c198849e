/** The headers with which a proxy passes a page's requests on, for a page of `origin`. */
export interface ProxyCase {
  readonly name: string;
  /** The origin of the page, as its browser sends it. */
  readonly origin: string;
  /** Headers of a plain request, as the app receives them. */
  readonly request: Readonly<Record<string, string>>;
  /** Headers of a WebSocket's upgrade, where they differ. */
  readonly upgrade?: Readonly<Record<string, string>>;
  /** What the proxy has lost, so that an app can't know the page's origin. */
  readonly loses?: "scheme" | "port" | "scheme and port" | "host";
}

const SITE = "https://app.example";
const forwarded = (proto: string, host = "app.example"): Record<string, string> => ({
  "X-Forwarded-For": "203.0.113.7",
  "X-Forwarded-Proto": proto,
  "X-Forwarded-Host": host,
});

/**
 * What the common proxies send to an app that has `proxy = true`, and what badly configured ones do.
 * Every part that recognises somebody (cookies, origins) is run through this table.
 */
export const PROXIES: readonly ProxyCase[] = [
  {
    name: "nginx: Host $host, X-Forwarded-Proto $scheme",
    origin: SITE,
    request: { Host: "app.example", "X-Forwarded-Proto": "https" },
  },
  {
    name: "nginx: Host $http_host on a port of its own",
    origin: "https://app.example:8443",
    request: { Host: "app.example:8443", "X-Forwarded-Proto": "https" },
  },
  {
    name: "nginx: X-Forwarded-Host $host:$server_port",
    origin: SITE,
    request: { Host: "backend:3000", ...forwarded("https", "app.example:443") },
  },
  {
    name: "Traefik, which says wss in an upgrade",
    origin: SITE,
    request: {
      Host: "app.example",
      ...forwarded("https"),
      "X-Forwarded-Port": "443",
      "X-Forwarded-Server": "traefik-1",
    },
    upgrade: {
      Host: "app.example",
      ...forwarded("wss"),
      "X-Forwarded-Port": "443",
      "X-Forwarded-Server": "traefik-1",
    },
  },
  {
    name: "Traefik without TLS, which says ws in an upgrade",
    origin: "http://app.example",
    request: { Host: "app.example", ...forwarded("http"), "X-Forwarded-Port": "80" },
    upgrade: { Host: "app.example", ...forwarded("ws"), "X-Forwarded-Port": "80" },
  },
  {
    name: "Traefik behind a load balancer",
    origin: SITE,
    request: { Host: "app.example", ...forwarded("https, http") },
    upgrade: { Host: "app.example", ...forwarded("https, ws") },
  },
  {
    name: "Traefik behind Traefik",
    origin: SITE,
    request: { Host: "app.example", ...forwarded("https,https") },
    upgrade: { Host: "app.example", ...forwarded("WSS,wss") },
  },
  {
    name: "HAProxy: option forwardfor, set-header X-Forwarded-Proto https",
    origin: SITE,
    request: {
      Host: "app.example",
      "X-Forwarded-For": "203.0.113.7",
      "X-Forwarded-Proto": "https",
    },
  },
  {
    name: "Caddy: reverse_proxy",
    origin: SITE,
    request: { Host: "app.example", ...forwarded("https"), Via: "1.1 Caddy" },
  },
  {
    name: "AWS: Application Load Balancer",
    origin: SITE,
    request: {
      Host: "app.example",
      "X-Forwarded-For": "203.0.113.7",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Port": "443",
      "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    },
  },
  {
    name: "AWS: CloudFront before an Application Load Balancer",
    origin: SITE,
    request: {
      Host: "app.example",
      "X-Forwarded-For": "203.0.113.7, 198.51.100.4",
      "X-Forwarded-Proto": "https",
      "CloudFront-Forwarded-Proto": "https",
      Via: "2.0 abc.cloudfront.net (CloudFront)",
    },
  },
  {
    name: "two proxies, each of which appends",
    origin: SITE,
    request: { Host: "inner:3000", ...forwarded("https, http", "app.example, inner:3000") },
  },
  {
    name: "upper case",
    origin: SITE,
    request: { Host: "APP.example", "X-Forwarded-Proto": "HTTPS" },
  },
  {
    name: "IPv6 without a proxy",
    origin: "http://[::1]:8080",
    request: { Host: "[::1]:8080" },
  },
  {
    name: "a host in Punycode",
    origin: "https://xn--bcher-kva.example",
    request: { Host: "xn--bcher-kva.example", "X-Forwarded-Proto": "https" },
  },
  {
    name: "nginx without X-Forwarded-Proto",
    origin: SITE,
    request: { Host: "app.example" },
    loses: "scheme",
  },
  {
    name: "X-Forwarded-Ssl, which Koa doesn't read",
    origin: SITE,
    request: { Host: "app.example", "X-Forwarded-Ssl": "on" },
    loses: "scheme",
  },
  {
    name: "nginx: Host $host on a port of its own",
    origin: "https://app.example:8443",
    request: { Host: "app.example", "X-Forwarded-Proto": "https" },
    loses: "port",
  },
  {
    name: "nginx: Host $host on a port of its own, without X-Forwarded-Proto",
    origin: "https://app.example:8443",
    request: { Host: "app.example" },
    loses: "scheme and port",
  },
  {
    name: "nginx without Host, which is that of proxy_pass",
    origin: SITE,
    request: { Host: "backend:3000", "X-Forwarded-Proto": "https" },
    loses: "host",
  },
  {
    name: "Forwarded (RFC 7239), which Koa doesn't read",
    origin: SITE,
    request: { Host: "backend:3000", Forwarded: "proto=https;host=app.example" },
    loses: "host",
  },
];
