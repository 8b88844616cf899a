export { type OpenStorage, openModuleStorage, type StorageKit, storageKit } from './load-module.ts';
