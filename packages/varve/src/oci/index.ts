export * from './digest.ts';
export { manifestSizeLimit } from './document-reader.ts';
export { configSizeLimit, parseContainerConfig, parseImageConfig } from './image-config.ts';
export { encodeJson, isJsonObject, type JsonObject } from './json.ts';
export {
  indexEntryLimit,
  layerCountLimit,
  type ManifestDocument,
  parseDescriptor,
  parseIndex,
  parseManifest,
  parseManifestDocument,
} from './manifest.ts';
export { isForeignLayer, isIndexType, isManifestType, layerCompression, mediaTypes } from './media-types.ts';
export * from './platform.ts';
export * from './reference.ts';
export type * from './types.ts';
