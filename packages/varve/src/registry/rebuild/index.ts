export { copyRecords } from './copy-records.ts';
export { type RebuildReport, rebuildRecords } from './rebuild.ts';
