export { type Schema, State } from './state.ts';
export { backupOf, type LostState, openState } from './open-state.ts';
export { keepBackup } from './keep-backup.ts';
