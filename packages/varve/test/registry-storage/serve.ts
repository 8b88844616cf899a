/** A registry in a process of its own: `serve.ts <root> <storage block as JSON> [port]` prints its URL. */
import { type RegistryConfigInput, startRegistry } from '../../src/registry/index.ts';

const [root = '', block = '{}', port = '0'] = process.argv.slice(2);
const registry = await startRegistry({
  http: { addr: `127.0.0.1:${port}` },
  storage: {
    ...(JSON.parse(block) as RegistryConfigInput['storage']),
    filesystem: { rootdirectory: root },
    delete: { enabled: true },
  },
  log: { accesslog: { disabled: true } },
});
process.on('SIGTERM', () => {
  void registry.close();
});
process.on('SIGUSR2', () => {
  void registry.collectGarbage({ graceMs: 0 }).then(({ blobs }) => console.log(`collected ${blobs.length}`));
});
console.log(registry.url);
