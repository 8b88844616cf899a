export { RegistryClient, type RegistryClientOptions } from './client.ts';
export { defaultRetry, type RetryPolicy } from './retry.ts';
export { type DownloadOptions, downloadBlob } from './transfer.ts';
export type { TlsOptions } from './transport.ts';
export type * from './types.ts';
