import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { freePorts, Judge, missing } from './processes.ts';

export const cephMissing: string | false = missing('ceph-mon', 'ceph-osd', 'radosgw', 'ceph-authtool');

/** Ceph's object gateway over one OSD in memory: S3 and Swift. */
export interface CephServer extends AsyncDisposable {
  readonly url: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly swiftUser: string;
  readonly swiftPassword: string;
}

export async function startCeph(): Promise<CephServer> {
  const judge = new Judge('ceph');
  try {
    const [monitor2 = 0, monitor1 = 0, gateway = 0] = await freePorts(3);
    const [fsid, osd] = [randomUUID(), randomUUID()];
    for (const folder of ['mon', 'osd/0', 'rgw', 'run']) mkdirSync(judge.path(folder), { recursive: true });
    writeFileSync(judge.path('ceph.conf'), config(judge, fsid, [monitor2, monitor1], gateway));
    const conf = ['-c', judge.path('ceph.conf')];
    const keyring = judge.path('keyring');
    judge.run([
      'ceph-authtool',
      '--create-keyring',
      keyring,
      '--gen-key',
      '-n',
      'mon.',
      '--cap',
      'mon',
      'allow *',
    ]);
    const all = ['mon', 'osd', 'mgr'].flatMap((kind) => ['--cap', kind, 'allow *']);
    judge.run(['ceph-authtool', keyring, '--gen-key', '-n', 'client.admin', ...all]);
    const addresses = `[v2:127.0.0.1:${monitor2},v1:127.0.0.1:${monitor1}]`;
    judge.run(['monmaptool', '--create', '--fsid', fsid, '--addv', 'a', addresses, judge.path('monmap')]);
    judge.run([
      'ceph-mon',
      ...conf,
      '-i',
      'a',
      '--mkfs',
      '--monmap',
      judge.path('monmap'),
      '--keyring',
      keyring,
    ]);
    judge.start('mon', ['ceph-mon', ...conf, '-i', 'a', '-f']);
    const ceph = (argv: readonly string[], input?: string): string =>
      judge.run(['ceph', '--connect-timeout', '5', ...conf, ...argv], input);
    await judge.until('ceph-mon', async () => ceph(['-s']));

    const secret = judge.run(['ceph-authtool', '--gen-print-key']).trim();
    ceph(['osd', 'new', osd, '-i', '-'], JSON.stringify({ cephx_secret: secret }));
    const osdKeyring = judge.path('osd', '0', 'keyring');
    judge.run(['ceph-authtool', '--create-keyring', osdKeyring, '--name', 'osd.0', '--add-key', secret]);
    judge.run(['ceph-osd', ...conf, '-i', '0', '--mkfs', '--osd-uuid', osd, '--keyring', osdKeyring]);
    ceph(['osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=localhost']);
    judge.start('osd', ['ceph-osd', ...conf, '-i', '0', '--keyring', osdKeyring, '-f']);
    judge.start('rgw', ['radosgw', ...conf, '-n', 'client.admin', '-f']);
    const url = `http://127.0.0.1:${gateway}`;
    await judge.until('radosgw', () => fetch(url));

    const admin = ['radosgw-admin', ...conf];
    const user = ['--uid=tester', '--display-name=tester', '--access-key=AKTEST', '--secret-key=SKTEST'];
    judge.run([...admin, 'user', 'create', ...user]);
    const subuser = ['--uid=tester', '--subuser=tester:swift', '--access=full', '--secret=swiftpass'];
    judge.run([...admin, 'subuser', 'create', ...subuser]);
    judge.run([...admin, 'user', 'modify', '--uid=tester', '--temp-url-key=tempkey']);
    return {
      url,
      accessKey: 'AKTEST',
      secretKey: 'SKTEST',
      swiftUser: 'tester:swift',
      swiftPassword: 'swiftpass',
      [Symbol.asyncDispose]: () => judge[Symbol.asyncDispose](),
    };
  } catch (error) {
    await judge[Symbol.asyncDispose]();
    throw error;
  }
}

function config(judge: Judge, fsid: string, monitors: readonly number[], gateway: number): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitors[0]}/0,v1:127.0.0.1:${monitors[1]}/0]
public addr = 127.0.0.1
keyring = ${judge.path('keyring')}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
run dir = ${judge.path('run')}
log file = ${judge.folder}/$name.log
admin socket = ${judge.path('run')}/$name.$pid.asok
ms bind ipv6 = false
mon data = ${judge.path('mon')}
osd data = ${judge.path('osd')}/$id
mon data avail crit = 1
mon data avail warn = 2
[osd]
osd objectstore = memstore
memstore device bytes = 4294967296
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw data = ${judge.path('rgw')}
rgw thread pool size = 16
rgw swift account in url = true
`;
}
