import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { busyboxBase } from '../../../../scripts/base-images.ts';
import { startRegistry } from '../../src/registry/index.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../../../..');
const folder = mkdtempSync('/var/tmp/varve-examples-');
const archive = join(folder, 'app.tar');

/** Runs an example as the guide says it is run. */
async function example(name: string, ...words: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(root, 'examples/library', name), ...words], {
    cwd: root,
  });
  return stdout;
}

let registry: Awaited<ReturnType<typeof startRegistry>>;
let app: string;
before(async () => {
  registry = await startRegistry({
    http: { addr: '127.0.0.1:0' },
    storage: { filesystem: { rootdirectory: join(folder, 'registry') } },
  });
  app = `${registry.url.slice('http://'.length)}/app:1`;
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

test('local-store imports a root file system and saves it', async () => {
  assert.match(
    await example('local-store.ts', busyboxBase(), 'app:1', archive),
    /saved sha256:[0-9a-f]{64} to /,
  );
});

test('explain-archive finds a file in the saved image', async () => {
  assert.match(await example('explain-archive.ts', archive, '/bin/sh'), /^\/bin\/sh comes from layer 1\./);
});

test('inspect-remote, append-layer and read-file work on an image in a registry', async () => {
  await run('skopeo', [
    'copy',
    '-q',
    '--dest-tls-verify=false',
    `docker-archive:${archive}`,
    `docker://${app}`,
  ]);
  assert.match(await example('inspect-remote.ts', app), /linux\/.*\ncommand: sh\nlayer 0: sha256:/);
  const message = join(folder, 'message');
  writeFileSync(message, 'appended\n');
  const changed = app.replace('app:1', 'other/app:2');
  assert.match(await example('append-layer.ts', app, changed, message, '/etc/message'), /app:2@sha256:/);
  assert.equal(await example('read-file.ts', changed, '/etc/message'), 'appended\n');
  assert.match(await example('read-file.ts', changed, '/etc/passwd'), /^root:/);
});

test('lint-dockerfile, embedded-registry and embedded-engine end well', async () => {
  assert.match(
    await example('lint-dockerfile.ts', 'examples/articles/Dockerfile'),
    /stage 0: 5 instructions/,
  );
  assert.match(await example('embedded-registry.ts'), /pushed and pulled sha256:/);
  assert.match(await example('embedded-engine.ts', busyboxBase()), /built\nexit code 0\n$/);
});
