import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildah, makeImage, podman, run, startServer, temporaryFolder } from './programs.ts';

const plainSource = '--src-tls-verify=false';
const plainDestination = '--dest-tls-verify=false';

test('skopeo pushes, inspects, copies inside, pulls back and deletes', async (t) => {
  const folder = temporaryFolder(t);
  const { host } = await startServer(t, join(folder, 'registry'));
  const image = makeImage(folder);
  run(['skopeo', 'copy', plainDestination, image, `docker://${host}/demo/app:v1`]);
  const inspected = JSON.parse(
    run(['skopeo', 'inspect', '--tls-verify=false', `docker://${host}/demo/app:v1`]),
  ) as {
    Digest: string;
    RepoTags: string[];
    Labels: Record<string, string>;
  };
  assert.deepEqual(inspected.RepoTags, ['v1']);
  assert.equal(inspected.Labels['name'], 'image');

  run([
    'skopeo',
    'copy',
    plainSource,
    plainDestination,
    `docker://${host}/demo/app:v1`,
    `docker://${host}/other/app:v2`,
  ]);
  run(['skopeo', 'copy', plainSource, `docker://${host}/other/app:v2`, `oci:${join(folder, 'back')}:v2`]);
  const back = JSON.parse(run(['skopeo', 'inspect', `oci:${join(folder, 'back')}:v2`])) as { Digest: string };
  assert.equal(back.Digest, inspected.Digest);

  run(['skopeo', 'delete', '--tls-verify=false', `docker://${host}/demo/app:v1`]);
  assert.throws(
    () => run(['skopeo', 'inspect', '--tls-verify=false', `docker://${host}/demo/app:v1`]),
    /manifest unknown/,
  );
  run(['skopeo', 'inspect', '--tls-verify=false', `docker://${host}/other/app:v2`]);
});

test('skopeo converts to Docker’s format on the way, and syncs a repository', async (t) => {
  const folder = temporaryFolder(t);
  const { host } = await startServer(t, join(folder, 'registry'));
  const image = makeImage(folder);
  run(['skopeo', 'copy', plainDestination, '--format', 'v2s2', image, `docker://${host}/docker/app:v1`]);
  const raw = run(['skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${host}/docker/app:v1`]);
  assert.match(raw, /application\/vnd\.docker\.distribution\.manifest\.v2\+json/);
  const target = join(folder, 'synced');
  run(['skopeo', 'sync', plainSource, '--src', 'docker', '--dest', 'dir', `${host}/docker/app`, target]);
  assert.deepEqual(readdirSync(target), ['app:v1']);
});

test('podman pulls an image and runs it', async (t) => {
  const folder = temporaryFolder(t);
  const { host } = await startServer(t, join(folder, 'registry'));
  run(['skopeo', 'copy', plainDestination, makeImage(folder, 'runs'), `docker://${host}/demo/app:v1`]);
  run([...podman(folder), 'pull', '--quiet', '--tls-verify=false', `${host}/demo/app:v1`]);
  const output = run([
    ...podman(folder),
    'run',
    '--rm',
    '--network',
    'none',
    '--ulimit',
    'nofile=256:256',
    '--ulimit',
    'nproc=256:256',
    `${host}/demo/app:v1`,
  ]);
  assert.equal(output, 'hello from runs\n');
  run([...podman(folder), 'tag', `${host}/demo/app:v1`, `${host}/demo/app:v2`]);
  run([...podman(folder), 'push', '--quiet', '--tls-verify=false', `${host}/demo/app:v2`]);
  const tags = run(['skopeo', 'list-tags', '--tls-verify=false', `docker://${host}/demo/app`]);
  assert.deepEqual((JSON.parse(tags) as { Tags: string[] }).Tags, ['v1', 'v2']);
});

test('buildah pushes an image and a list of two', async (t) => {
  const folder = temporaryFolder(t);
  const { host } = await startServer(t, join(folder, 'registry'));
  run(['skopeo', 'copy', plainDestination, makeImage(folder), `docker://${host}/demo/first:v1`]);
  const program = buildah(folder);
  const container = run([...program, 'from', '--tls-verify=false', `${host}/demo/first:v1`]).trim();
  run([...program, 'config', '--label', 'step=two', container]);
  run([...program, 'commit', '--quiet', container, 'local/second']);
  run([...program, 'push', '--tls-verify=false', 'local/second', `docker://${host}/demo/second:v1`]);
  run([...program, 'manifest', 'create', 'local/list']);
  run([...program, 'manifest', 'add', 'local/list', 'local/second']);
  run([
    ...program,
    'manifest',
    'push',
    '--all',
    '--tls-verify=false',
    'local/list',
    `docker://${host}/demo/list:v1`,
  ]);
  const raw = run(['skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${host}/demo/list:v1`]);
  const index = JSON.parse(raw) as { manifests: { platform: { architecture: string } }[] };
  assert.equal(index.manifests.length, 1);
  run([
    'skopeo',
    'copy',
    '--all',
    plainSource,
    `docker://${host}/demo/list:v1`,
    `oci:${join(folder, 'list')}:v1`,
  ]);
});
