/** A registry in a process of its own, for tests that kill it: `serve.ts <root> [port] [auth]` prints its URL; `auth` is JSON. */
import { type RegistryConfigInput, startRegistry } from '../../src/registry/index.ts';

const [root = '', port = '0', auth] = process.argv.slice(2);
const registry = await startRegistry({
  http: { addr: `127.0.0.1:${port}` },
  storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
  log: { accesslog: { disabled: true } },
  ...(auth === undefined ? {} : { auth: JSON.parse(auth) as RegistryConfigInput['auth'] }),
});
process.once('SIGTERM', () => {
  void registry.close();
});
console.log(registry.url);
