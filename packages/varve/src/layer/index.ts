export { type ApplyOptions, applyLayer } from './apply-layer.ts';
export { detectCompression } from './compress/detect.ts';
export { compressionName, peek, plainStream } from './compress/plain-stream.ts';
export { type CompressOptions, compressLayer } from './compress-layer.ts';
export { readRootAttributes, type RootAttributes, writeRootAttributes } from './erofs/root-attributes.ts';
export type { LowerLayer } from './erofs/lower-layers.ts';
export type { OpenQuestions } from './erofs/settle-tree.ts';
export { indexTar, type StoreOptions, settleIndex, storeLayer } from './erofs/store-layer.ts';
export type { SettleRequest, StoredLayer, StoreTarget, TarToIndex } from './erofs/store-sync.ts';
export { type ExtractTarget, type ExtractTarOptions, extractTar } from './extract-tar.ts';
export { fileIdentity } from './file-identity.ts';
export { defaultLimits, type LayerLimits } from './limits.ts';
export type { PackOptions } from './pack/tar-chunks.ts';
export type { PackSource } from './pack/tree-items.ts';
export { type PackTreeOptions, packTree } from './pack-tree.ts';
export {
  type LayerEntry,
  type ReadOptions,
  type ReadSource,
  readLayer,
  readLayerEntry,
  type ScanResult,
  scanLayer,
} from './read-layer.ts';
export {
  paddingAfter,
  type SparseRegion,
  type TarEntry,
  type TarEntryType,
  type TarMetadata,
  type Xattr,
} from './tar/entry.ts';
export { readTar, type StreamedEntry } from './tar/read-stream.ts';
export { defaultTarLimits, type TarHandler, type TarLimits, TarReader } from './tar/reader.ts';
export { encodeEnd, encodeHeader } from './tar/writer.ts';
export type * from './types.ts';
export { changes, type WriteOptions, writeLayer } from './write-layer.ts';
export { verifyTree } from './verify-tree.ts';
export type { ExtractResult } from './worker/stream-protocol.ts';
