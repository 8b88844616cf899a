export { type ApplyOptions, applyLayer } from './apply-layer.ts';
export { type CompressOptions, compressLayer } from './compress-layer.ts';
export { defaultLimits, type LayerLimits } from './limits.ts';
export type * from './types.ts';
export { changes, type WriteOptions, writeLayer } from './write-layer.ts';
export { paddingAfter, type TarEntry, type TarEntryType, type TarMetadata } from './tar/entry.ts';
export { readTar, type StreamedEntry } from './tar/read-stream.ts';
export { encodeEnd, encodeHeader } from './tar/writer.ts';
