export type { CopyToOptions, PathStat } from './archive.ts';
export type { Attachment, AttachOptions } from './attach.ts';
export type { CheckProgress, Finding } from './check/finding.ts';
export type { Container, WaitCondition, WaitResult } from './container.ts';
export type { CreateResult } from './create.ts';
export { Engine } from './engine.ts';
export { type EngineEvent, EventBus, type EventQuery, type EventType } from './events.ts';
export type { ExecRequest, StartedExec } from './exec.ts';
export type { Exec } from './exec-store.ts';
export { anyMatch, booleanFilter, checkFilters, invalidFilter, labelsMatch, nameMatches } from './filters.ts';
export type { ListOptions } from './list.ts';
export type {
  EngineConfig,
  EngineParts,
  Logger,
  LogLevel,
} from './parts.ts';
export { parseTime } from './prune-time.ts';
export type { UpdateRequest } from './update.ts';
export { commandLine } from './settings.ts';
export type { StatsSample } from './stats.ts';
export type { DiskUsage, SystemInfo } from './system.ts';
export { formatMilliseconds, formatNanoseconds } from './time.ts';
export type { ProcessTable } from './top.ts';
export type * from './types.ts';
export { zeroTime } from './types.ts';
export { ContainerStore } from './container-store.ts';
export {
  beginOtherTree,
  type DriverKinds,
  type MigrationOptions,
  type MigrationParts,
  type MigrationPlan,
  migrateStorage,
  planMigration,
  removeOtherTree,
  snapshotFolders,
} from './migrate.ts';
