export { FilesystemStorage } from './filesystem-storage.ts';
export { lockRoot } from './root-lock.ts';
