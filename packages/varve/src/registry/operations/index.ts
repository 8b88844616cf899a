export { type DebugServer, startDebugServer } from './debug-server.ts';
export { type Metrics, type ObservedRequest, openMetrics } from './metrics.ts';
export { openTracing, type RequestSpan, type Tracing } from './tracing.ts';
