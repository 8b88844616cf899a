/** A registry in a process of its own, for tests that kill it: `serve.ts <root> [port]` prints its URL. */
import { startRegistry } from '../../src/registry/index.ts';

const [root = '', port = '0'] = process.argv.slice(2);
const registry = await startRegistry({
  http: { addr: `127.0.0.1:${port}` },
  storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
  log: { accesslog: { disabled: true } },
});
process.once('SIGTERM', () => {
  void registry.close();
});
console.log(registry.url);
