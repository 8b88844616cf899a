import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders } from 'node:http';
import type { Context, Span, SpanStatusCode } from '@opentelemetry/api';
import { VarveError } from '../../base/index.ts';
import { traced } from './traced.ts';

/** One request being traced. */
export interface RequestSpan {
  /** Does work of which the calls that are traced become parts of this span. */
  run<T>(work: () => T): T;
  /** @param status of the answer; 499 when nobody was there for it. */
  end(status: number, attributes: Readonly<Record<string, string | number>>): void;
}

/** Spans of requests, for OpenTelemetry. */
export interface Tracing extends AsyncDisposable {
  /** Begins the span of a request, as a part of the caller's trace where it sends one (W3C Trace Context). */
  start(method: string, route: string, headers: IncomingHttpHeaders): RequestSpan;
  /** An object whose calls become spans of the request that makes them: `storage read`, `db manifestByTag`. */
  parts<T extends object>(target: T, prefix: string, results?: ReadonlySet<string>): T;
}

export interface TracingSettings {
  readonly otlp: { readonly endpoint: string; readonly headers: Readonly<Record<string, string>> };
  readonly service: string;
  readonly ratio: number;
}

/**
 * Tracing over the official packages, which are loaded only where they are wanted. Names and attributes are those of
 * OpenTelemetry's semantic conventions for HTTP servers; a name holds the route's kind, never what a client made up.
 */
export async function openTracing({ otlp, service, ratio }: TracingSettings): Promise<Tracing> {
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, defaultTextMapGetter, trace } = await import(
    '@opentelemetry/api'
  );
  const { W3CTraceContextPropagator } = await import('@opentelemetry/core');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  const { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } = await import(
    '@opentelemetry/sdk-trace'
  );
  const exporter = new OTLPTraceExporter({ url: otlp.endpoint, headers: { ...otlp.headers } });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer('varve/registry');
  const propagator = new W3CTraceContextPropagator();
  /** The span of the request that is being answered. */
  const current = new AsyncLocalStorage<Context>();
  return {
    start: (method, route, headers) => {
      const parent = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
      const attributes = { 'http.request.method': method, 'http.route': route };
      const span = tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent);
      return {
        run: (work) => (span.isRecording() ? current.run(trace.setSpan(parent, span), work) : work()),
        end: (status, more) => {
          span.setAttributes({ 'http.response.status_code': status, ...more });
          if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    parts: (target, prefix, results) =>
      traced(
        target,
        prefix,
        (name) => {
          const within = current.getStore();
          const span = within && tracer.startSpan(name, { kind: SpanKind.INTERNAL }, within);
          return span && { end: (failure) => endPart(span, failure, SpanStatusCode.ERROR) };
        },
        results,
      ),
    [Symbol.asyncDispose]: async () => {
      // What is left is sent; a collector that is away must not keep the server from stopping.
      await provider.shutdown().catch(() => undefined);
    },
  };
}

function endPart(span: Span, failure: unknown, code: SpanStatusCode): void {
  if (failure !== undefined) {
    span.setAttribute('error.type', VarveError.from(failure).code);
    span.setStatus({ code });
  }
  span.end();
}
