import type { Registry } from 'prom-client';
import type { MetadataStore } from '../metadata/index.ts';

/** One answered request, as metrics count it. */
export interface ObservedRequest {
  readonly method: string;
  /** Kind of the route; never a name that a client made up. */
  readonly route: string;
  readonly status: number;
  readonly milliseconds: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** What is counted, for Prometheus. prometheus.io/docs/practices/naming */
export interface Metrics {
  observe(request: ObservedRequest): void;
  started(): void;
  collected(manifests: number, blobs: number, bytes: number): void;
  scrubbed(damaged: number): void;
  notified(outcome: 'delivered' | 'failed'): void;
  /** The exposition, and its media type. */
  text(): Promise<{ readonly type: string; readonly body: string }>;
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** Metrics over prom-client, which is loaded only where they are wanted. */
export async function openMetrics(metadata: MetadataStore): Promise<Metrics> {
  const {
    collectDefaultMetrics,
    Counter,
    Gauge,
    Histogram,
    Registry: Collection,
  } = await import('prom-client');
  const register: Registry = new Collection();
  collectDefaultMetrics({ register });
  const registers = [register];
  const requests = new Counter({
    name: 'registry_http_requests_total',
    help: 'Answered requests.',
    labelNames: ['method', 'route', 'code'],
    registers,
  });
  const durations = new Histogram({
    name: 'registry_http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer.',
    labelNames: ['method', 'route'],
    buckets: seconds,
    registers,
  });
  const running = new Gauge({
    name: 'registry_http_requests_in_flight',
    help: 'Requests that are being answered.',
    registers,
  });
  const traffic = new Counter({
    name: 'registry_http_body_bytes_total',
    help: 'Bytes of bodies.',
    labelNames: ['direction'],
    registers,
  });
  const removed = new Counter({
    name: 'registry_gc_removed_total',
    help: 'What collections removed.',
    labelNames: ['kind'],
    registers,
  });
  const freed = new Counter({
    name: 'registry_gc_freed_bytes_total',
    help: 'Bytes that collections freed.',
    registers,
  });
  const damaged = new Counter({
    name: 'registry_scrub_damaged_total',
    help: 'Blobs that scrubs found damaged or missing.',
    registers,
  });
  const notifications = new Counter({
    name: 'registry_notifications_total',
    help: 'Notifications by outcome of the attempt.',
    labelNames: ['outcome'],
    registers,
  });
  const billed = new Gauge({
    name: 'registry_billed_bytes',
    help: 'Bytes that all repositories are billed for.',
    registers: [],
    async collect() {
      this.set(await metadata.totalBytes());
    },
  });
  register.registerMetric(billed);
  return {
    started: () => running.inc(),
    observe: ({ method, route, status, milliseconds, receivedBytes, sentBytes }) => {
      running.dec();
      requests.inc({ method, route, code: status });
      durations.observe({ method, route }, milliseconds / 1000);
      traffic.inc({ direction: 'received' }, receivedBytes);
      traffic.inc({ direction: 'sent' }, sentBytes);
    },
    collected: (manifests, blobs, bytes) => {
      removed.inc({ kind: 'manifest' }, manifests);
      removed.inc({ kind: 'blob' }, blobs);
      freed.inc(bytes);
    },
    scrubbed: (count) => damaged.inc(count),
    notified: (outcome) => notifications.inc({ outcome }),
    text: async () => ({ type: register.contentType, body: await register.metrics() }),
  };
}
