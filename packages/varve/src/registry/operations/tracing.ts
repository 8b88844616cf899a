import type { IncomingHttpHeaders } from 'node:http';

/** One request being traced. */
export interface RequestSpan {
  /** @param status of the answer; 499 when nobody was there for it. */
  end(status: number, attributes: Readonly<Record<string, string | number>>): void;
}

/** Spans of requests, for OpenTelemetry. */
export interface Tracing extends AsyncDisposable {
  /** Begins the span of a request, as a part of the caller's trace where it sends one (W3C Trace Context). */
  start(method: string, route: string, headers: IncomingHttpHeaders): RequestSpan;
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
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, defaultTextMapGetter } = await import('@opentelemetry/api');
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
  return {
    start: (method, route, headers) => {
      const parent = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
      const attributes = { 'http.request.method': method, 'http.route': route };
      const span = tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent);
      return {
        end: (status, more) => {
          span.setAttributes({ 'http.response.status_code': status, ...more });
          if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      // What is left is sent; a collector that is away must not keep the server from stopping.
      await provider.shutdown().catch(() => undefined);
    },
  };
}
