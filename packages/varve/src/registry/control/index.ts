export { callControl } from './client.ts';
export { startControl } from './server.ts';
