import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { atEnd, eventually } from '../../src/registry/testing/index.ts';
import { missing } from '../registry-storage/judges/processes.ts';
import { swiftMissing } from '../registry-storage/judges/swift.ts';
import { makeImage, run, temporaryFolder } from './programs.ts';

const example = join(import.meta.dirname, '../../../../examples/registry-cluster');
const skip = swiftMissing || missing('haproxy', 'curl', 'skopeo');

test('examples/registry-cluster serves an image on when one of its nodes has stopped', {
  skip,
}, async (t) => {
  const folder = temporaryFolder(t);
  const state = join(folder, 'state');
  // PostgreSQL runs under an account of its own.
  chmodSync(folder, 0o711);
  // Its addresses are written down, so it gets a loopback interface of its own.
  const script = 'ip link set lo up && exec "$0" "$1"';
  const child = spawn('unshare', ['--net', 'sh', '-c', script, join(example, 'run.sh'), state], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, VARVE_SOURCE: '1' },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  atEnd(t, async () => {
    child.kill('SIGTERM');
    await gone;
  });
  await Promise.race([
    new Promise<void>((resolve) => createInterface({ input: child.stdout }).once('line', () => resolve())),
    gone.then(() => Promise.reject(new Error(`run.sh ended:\n${said}`))),
  ]);

  const skopeo = (...args: readonly string[]): string =>
    run(['nsenter', `--net=/proc/${child.pid}/ns/net`, 'skopeo', ...args]);
  const image = 'docker://127.0.0.1:15000/demo/app:v1';
  skopeo('copy', '--dest-tls-verify=false', makeImage(folder), image);
  const { Digest } = JSON.parse(skopeo('inspect', '--tls-verify=false', image)) as { Digest: string };

  const node = Number(readFileSync(join(state, 'node-1.pid'), 'utf8'));
  process.kill(node, 'SIGKILL');
  // The balancer hands a request that finds nobody to the other node, from the first on.
  skopeo('copy', '--src-tls-verify=false', image, `oci:${join(folder, 'back')}:v1`);
  const back = JSON.parse(skopeo('inspect', `oci:${join(folder, 'back')}:v1`)) as { Digest: string };
  assert.equal(back.Digest, Digest);
  skopeo('copy', '--dest-tls-verify=false', `oci:${join(folder, 'back')}:v1`, `${image}-again`);
  await eventually(() => isDead(node), 'the node is gone');
});

test('examples/systemd has a unit that systemd understands', { skip: missing('systemd-analyze') }, (t) => {
  const unit = readFileSync(join(example, '../systemd/varve-registry.service'), 'utf8');
  assert.match(unit, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
  // It looks whether the program is there; Varve is not installed here.
  const path = join(temporaryFolder(t), 'varve-registry.service');
  writeFileSync(path, unit.replace('/usr/bin/varve', process.execPath));
  run(['systemd-analyze', 'verify', path]);
});

function isDead(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return true;
  }
}
