// `@lanai/clients/lifecycle`: the start and the end of a process behind a load balancer.
export {
  type GracefulShutdown,
  type GracefulShutdownOptions,
  gracefulShutdown,
  type LivePart,
} from "./lifecycle/graceful-shutdown.ts";
export { type Health, type HealthProbeOptions, healthProbe } from "./lifecycle/health-probe.ts";
