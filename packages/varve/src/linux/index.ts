export { declare, errnoName, lastErrno, systemError } from './libc.ts';
