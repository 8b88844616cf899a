export { type ApiServer, type ApiServerOptions, createApiServer } from './server.ts';
export { newestVersion, oldestVersion } from './versions.ts';
