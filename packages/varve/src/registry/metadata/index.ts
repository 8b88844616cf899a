export { SqliteMetadata } from './sqlite-metadata.ts';
export type {
  Awaitable,
  BlobRecord,
  Deletion,
  GarbageRecords,
  ManifestContent,
  ManifestRecord,
  MetadataStore,
  NewManifest,
  Page,
  SweepCursor,
  SweepStep,
} from './types.ts';
