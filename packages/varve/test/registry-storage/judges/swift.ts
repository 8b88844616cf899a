import { mkdirSync, writeFileSync } from 'node:fs';
import { type KeystoneServer, keystonePath } from './keystone.ts';
import { freePorts, get, Judge, missing } from './processes.ts';

export const swiftMissing: string | false = missing('swift-proxy-server', 'swift-object-server', 'memcached');

/** OpenStack Swift on one disk, with tempauth, TempURL, large objects and the S3 API in front. */
export interface SwiftServer extends AsyncDisposable {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

const storageServers = ['account', 'container', 'object'] as const;

// What three calls each of swift-ring-builder do, in one process.
const makeRings = `import sys
from swift.common.ring import RingBuilder
for kind, port in zip(('account', 'container', 'object'), sys.argv[1:]):
    builder = RingBuilder(4, 1, 1)
    builder.add_dev(dict(region=1, zone=1, ip='127.0.0.1', port=int(port), device='d1', weight=1,
                         replication_ip='127.0.0.1', replication_port=int(port), meta=''))
    builder.rebalance()
    builder.get_ring().save(kind + '.ring.gz')
`;

/** @param keystone who tells it who its clients are; tempauth does without one */
export async function startSwift(keystone?: KeystoneServer): Promise<SwiftServer> {
  const judge = new Judge('swift');
  try {
    const [proxyPort = 0, cachePort = 0, ...ports] = await freePorts(5);
    mkdirSync(judge.path('disks', 'd1'), { recursive: true });
    writeFileSync(
      judge.path('swift.conf'),
      `[swift-hash]
swift_hash_path_prefix = varve
swift_hash_path_suffix = varve
[storage-policy:0]
name = default
default = yes
`,
    );
    for (const [index, kind] of storageServers.entries()) {
      const port = ports[index];
      writeFileSync(
        judge.path(`${kind}-server.conf`),
        `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
user = root
swift_dir = ${judge.folder}
devices = ${judge.path('disks')}
mount_check = false
disable_fallocate = true
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = ${kind}-server
[app:${kind}-server]
use = egg:swift#${kind}
`,
      );
    }
    judge.run(['/usr/bin/python3', '-c', makeRings, ...ports.map(String)]);
    writeFileSync(judge.path('proxy-server.conf'), proxyConfig(judge.folder, proxyPort, cachePort, keystone));
    judge.start('memcached', [
      'memcached',
      '-u',
      'root',
      '-l',
      '127.0.0.1',
      '-p',
      `${cachePort}`,
      '-m',
      '16',
    ]);
    for (const kind of [...storageServers, 'proxy']) {
      const env = keystone && kind === 'proxy' ? { PYTHONPATH: keystonePath } : {};
      judge.start(kind, [`swift-${kind}-server`, judge.path(`${kind}-server.conf`)], env);
    }
    const url = `http://127.0.0.1:${proxyPort}`;
    await keystone?.addObjectStore(`${url}/v1/AUTH_$(project_id)s`);
    await judge.until('swift', async () => {
      await get(`${url}/healthcheck`);
      for (const port of ports) await get(`http://127.0.0.1:${port}/recon/version`).catch(accepts404);
    });
    return {
      url,
      user: 'test:tester',
      password: 'testing',
      [Symbol.asyncDispose]: () => judge[Symbol.asyncDispose](),
    };
  } catch (error) {
    await judge[Symbol.asyncDispose]();
    throw error;
  }
}

/** An answer is an answer: the server is there. */
function accepts404(error: unknown): void {
  if (!/: [45]\d\d$/.test((error as Error).message)) throw error;
}

function proxyConfig(folder: string, port: number, cachePort: number, keystone?: KeystoneServer): string {
  const who = keystone ? 'authtoken keystoneauth' : 's3api tempauth';
  const plain = ['catch_errors', 'gatekeeper', 'healthcheck', 'bulk', 'tempurl', 'copy', 'slo', 'dlo'];
  return `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = root
swift_dir = ${folder}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache bulk tempurl ${who} copy slo dlo proxy-server
${plain.map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n`).join('')}
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${cachePort}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
${keystone ? keystoneFilters(keystone, cachePort) : ''}
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
`;
}

/** https://docs.openstack.org/swift/latest/overview_auth.html#configuring-swift-to-use-keystone */
function keystoneFilters({ url, user, password }: KeystoneServer, cachePort: number): string {
  return `[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = ${url}
auth_url = ${url}
auth_type = password
username = ${user}
password = ${password}
project_name = admin
user_domain_id = default
project_domain_id = default
memcached_servers = 127.0.0.1:${cachePort}
interface = public
delay_auth_decision = true
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin`;
}
