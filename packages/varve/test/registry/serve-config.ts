/** A registry in a process of its own, for tests that kill it: `serve-config.ts <configuration as JSON>` prints its URL. */
import { type RegistryConfigInput, startRegistry } from '../../src/registry/index.ts';

const registry = await startRegistry(JSON.parse(process.argv[2] ?? '{}') as RegistryConfigInput);
process.once('SIGTERM', () => {
  void registry.close();
});
console.log(registry.url);
