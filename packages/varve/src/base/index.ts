export { EventQueue, KeyedLock, mapLimit, throwIfAborted, Turns } from './async.ts';
export { type ErrorDetails, type ErrorKind, isKind, notFound, VarveError } from './errors.ts';
export { syncFolder, writeFileAtomic } from './files.ts';
export { type Glob, glob, matchesAll } from './globs.ts';
export { IdleTimer, idleThreadMs } from './idle-timer.ts';
export { randomId, shortId } from './ids.ts';
export { formatBinaryBytes, formatBytes, formatDuration, parseBytes, parseDuration } from './units.ts';
