/** A registry in a process of its own, for tests that kill it: `serve-config.ts <configuration as JSON>` prints its URL. */
import { pino } from 'pino';
import { type RegistryConfigInput, startRegistry } from '../../src/registry/index.ts';

const registry = await startRegistry(JSON.parse(process.argv[2] ?? '{}') as RegistryConfigInput, {
  logger: pino({ level: 'error' }, pino.destination(2)),
});
process.once('SIGTERM', () => {
  void registry.close();
});
console.log(registry.url);
