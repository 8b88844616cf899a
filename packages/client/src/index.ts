export { type Attachment, type Cancellable, Containers } from './containers.ts';
export { clientVersion, defaultHost, Engine, type EngineOptions } from './engine.ts';
export { EngineError } from './errors.ts';
export { type BuildOptions, Images, registryAuth } from './images.ts';
export { Networks } from './networks.ts';
export { jsonLines, type OutputChunk, outputChunks } from './streams.ts';
export { type Address, parseAddress, type Query } from './transport.ts';
export type * from './types.ts';
export { Volumes } from './volumes.ts';
