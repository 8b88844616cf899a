export { openSqliteRobots } from './robots.ts';
export { SqliteMetadata } from './sqlite-metadata.ts';
export { overQuota } from './usage.ts';
export { tagIsImmutable } from './put-manifest.ts';
export type {
  Awaitable,
  BlobRecord,
  ClaimedDelivery,
  Deletion,
  GarbageRecords,
  ManifestContent,
  ManifestRecord,
  MetadataStore,
  Need,
  NewDelivery,
  NewManifest,
  Page,
  Pull,
  QuotaLimit,
  RepositoryUsage,
  ReviewKind,
  ScrubRecords,
  RobotGrant,
  RobotRecord,
  LogoutRecords,
  RobotRecords,
  SweepCursor,
  SweepStep,
  TagRecord,
  Uncopied,
  UnderReview,
  WriteRules,
} from './types.ts';
