export { type ApiServer, type ApiServerOptions, createApiServer } from './server.ts';
export { routes } from './routes/index.ts';
export { newestVersion, oldestVersion } from './versions.ts';
