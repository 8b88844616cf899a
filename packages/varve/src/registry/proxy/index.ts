export { ArrivingBlob } from './arriving-blob.ts';
export { PullThrough } from './pull-through.ts';
export type { UpstreamSettings } from './upstream.ts';
