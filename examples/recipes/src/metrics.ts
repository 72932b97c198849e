import { subscribe } from "node:diagnostics_channel";
import { sameOrigin } from "@lanai/same-origin";
import { session } from "@lanai/session";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import Koa from "koa";

/** All of them, as in docs/production.md: those of packages that the app lacks publish nothing. */
const CHANNELS = [
  "lanai:session:created",
  "lanai:session:renewed",
  "lanai:session:destroyed",
  "lanai:session:gone",
  "lanai:session:dropped",
  "lanai:session:refused",
  "lanai:session:unavailable",
  "lanai:session:insecure",
  "lanai:session:cacheable",
  "lanai:session:evicting",
  "lanai:session-jwt:stale",
  "lanai:session-jwt:superseded",
  "lanai:bound:registered",
  "lanai:bound:refreshed",
  "lanai:bound:refused",
  "lanai:bound:skipped",
  "lanai:bound:ended",
  "lanai:same-origin:refused",
  "lanai:flash:dropped",
  "lanai:pubsub:subscribed",
  "lanai:pubsub:unsubscribed",
  "lanai:pubsub:gap",
  "lanai:pubsub:error",
  "lanai:pubsub:disconnected",
  "lanai:pubsub:reconnected",
  "lanai:pubsub:stream",
  "lanai:websocket:origin-refused",
  "lanai:websocket:full",
  "lanai:websocket:upgrade-lost",
  "lanai:websocket:unheard",
  "lanai:websocket:held-too-long",
  "lanai:sse:upgrade-lost",
  "lanai:channels:refused",
  "lanai:channels:origin-refused",
  "lanai:channels:upgrade-lost",
  "lanai:clients:attached",
  "lanai:clients:ended",
  "lanai:clients:slow",
  "lanai:clients:unheard",
  "lanai:clients:full",
  "lanai:clients:refused",
  "lanai:clients:cacheable",
  "lanai:clients:bus",
  "lanai:clients:error",
];

// The exporter has no server of its own: the app serves /metrics.
const exporter = new PrometheusExporter({ preventServerStart: true });
const meters = new MeterProvider({ readers: [exporter] });
const events = meters.getMeter("lanai").createCounter("lanai_events", {
  description: "Events of Lanai's diagnostics channels",
});

for (const channel of CHANNELS) {
  subscribe(channel, (message) => {
    const { level, reason } = message as { level: string; reason?: string };
    events.add(1, { channel, level, ...(reason !== undefined && { reason }) });
  });
}

const app = new Koa();

// Before the sessions, so that it is served while their store is down. Don't let a proxy publish it.
app.use((ctx, next) => {
  if (ctx.path !== "/metrics") return next();
  ctx.respond = false;
  exporter.getMetricsRequestHandler(ctx.req, ctx.res);
  return undefined;
});

app.use(sameOrigin());
app.use(session());
app.use((ctx) => {
  ctx.session.set("seen", new Date());
  ctx.body = "ok\n";
});
app.listen(3000);
