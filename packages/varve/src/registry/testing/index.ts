export { atEnd } from './cleanup.ts';
export { type Answer, type CallOptions, httpCall } from './http-call.ts';
export {
  encode,
  eventually,
  imageManifest,
  indexManifest,
  startTestRegistry,
  TestClient,
  TestRegistry,
  temporaryRoot,
} from './test-registry.ts';
