/**
 * Numbers for Prometheus.
 * @module
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { JobStore } from "./job-store.ts";

/** The metrics of one server. */
export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<"method" | "route" | "status">;
  readonly #jobSecs: Histogram<"kind" | "state">;
  readonly #delay = monitorEventLoopDelay({ resolution: 5 });

  constructor(store: () => JobStore) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry, prefix: "vans_" });
    this.#requests = new Counter({
      name: "vans_http_requests_total",
      help: "Requests that were answered",
      labelNames: ["method", "route", "status"],
      registers,
    });
    this.#jobSecs = new Histogram({
      name: "vans_job_seconds",
      help: "Seconds that jobs took, without waiting",
      labelNames: ["kind", "state"],
      buckets: [0.5, 1, 2, 4, 8, 15, 30, 60, 300, 1800],
      registers,
    });
    new Gauge({
      name: "vans_jobs",
      help: "Jobs that the store knows",
      labelNames: ["kind", "state"],
      registers,
      collect() {
        this.reset();
        for (const { kind, state, count } of store().counts()) this.set({ kind, state }, count);
      },
    });
    const delay = this.#delay;
    delay.enable();
    new Gauge({
      name: "vans_event_loop_delay_p99_seconds",
      help: "How long the event loop was blocked, 99th percentile since the last time this was read",
      registers,
      collect() {
        this.set(delay.percentile(99) / 1e9);
        delay.reset();
      },
    });
  }

  request(method: string, route: string, status: number): void {
    this.#requests.inc({ method, route, status: String(status) });
  }

  job(kind: string, state: string, secs: number): void {
    this.#jobSecs.observe({ kind, state }, secs);
  }

  /** The text that Prometheus reads. */
  async text(): Promise<{ readonly body: string; readonly type: string }> {
    return { body: await this.#registry.metrics(), type: this.#registry.contentType };
  }

  close(): void {
    this.#delay.disable();
    this.#registry.clear();
  }
}
