/** Images made here are used by other tools, and theirs here: same digests, same bytes, same tree. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  archive,
  type ArchiveEntry,
  file,
  folder,
  hardlink,
  symlink,
} from '../../src/layer/testing/archive.ts';
import { digestOf, type Manifest } from '../../src/oci/index.ts';
import { TestEngine } from '../engine/harness.ts';
import { DockerDaemon } from '../support/docker-daemon.ts';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';
import { makeImage } from '../support/made-image.ts';
import { Peers } from '../support/peers.ts';
import { listTree } from '../support/tree.ts';

let engine: TestEngine;
let registry: HostProcess & { readonly host: string };
let peers: Peers;

const tls = '--tls-verify=false';
/** vfs_cap_data of revision 2 with CAP_NET_RAW. */
const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');

before(async () => {
  engine = await TestEngine.start();
  registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
  peers = new Peers(engine);
});

after(async () => {
  if (peers) await peers.podman('umount', '--all').catch(() => undefined);
  await registry?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
});

/** Files that tools treat differently when they are careless. */
function oddFiles(prefix = 'odd'): ArchiveEntry[] {
  const at = (name: string): string => `${prefix}/${name}`;
  const mtime = { seconds: 1_234_567_890, nanoseconds: 123_456_789 };
  return [
    folder(`${prefix}/`),
    { ...file(at('setuid'), 'setuid'), mode: 0o4755, mtime },
    { ...file(at('setgid'), 'setgid'), mode: 0o2711, uid: 1, gid: 2 },
    { ...file(at('no-mode'), 'secret'), mode: 0 },
    { ...file(at('owner'), 'owned'), uid: 1234, gid: 5678, mode: 0o640 },
    { ...file(at('big-owner'), 'owned'), uid: 3_000_000, gid: 3_000_001 },
    {
      ...file(at('capable'), 'capable'),
      mode: 0o755,
      xattrs: [{ name: Buffer.from('security.capability'), value: capability }],
    },
    { ...folder(at('sticky'), 0o1777), mtime },
    { ...folder(at('group'), 0o2775), gid: 50 },
    symlink(at('link'), 'setuid'),
    symlink(at('dangling'), '/no/such/place'),
    symlink(at('climbing'), '../../../../etc/passwd'),
    { ...file(at('first'), 'two names'), mtime },
    hardlink(at('second'), at('first')),
    file(at('empty')),
    file(at('n'.repeat(120)), 'a long name'),
    file(at('ümläut ☃ spaced'), 'a wide name'),
    { name: at('pipe'), type: 'fifo', mode: 0o600 },
    { ...file(at('old'), 'before 1970'), mtime: { seconds: 0, nanoseconds: 0 } },
    file(at('to-delete'), 'goes'),
    file(at('to-change'), 'is replaced'),
    folder(at('folder-to-delete')),
    file(at('folder-to-delete/in it')),
    folder(at('to-empty')),
    file(at('to-empty/old'), 'hidden by an opaque folder'),
  ];
}

/** Builds an image with several layers of odd things here. */
async function buildHere(tag: string): Promise<string> {
  const context = join(engine.folder, `context-${tag.replaceAll(/\W/g, '-')}`);
  mkdirSync(context);
  writeFileSync(join(context, 'odd.tar'), archive(...oddFiles()));
  writeFileSync(join(context, 'file'), 'copied');
  chmodSync(join(context, 'file'), 0o600);
  writeFileSync(
    join(context, 'Dockerfile'),
    [
      'FROM busybox',
      'ADD odd.tar /',
      'COPY file /odd/to-change',
      'RUN rm -r /odd/to-delete /odd/folder-to-delete && chmod 4700 /odd/owner',
      'RUN rm -r /odd/to-empty && mkdir /odd/to-empty && echo new >/odd/to-empty/new && ln /odd/first /odd/third',
      'ENV A=b',
      'CMD ["sh", "-c", "cat /odd/to-change; stat -c %a /odd/owner"]',
    ].join('\n'),
  );
  await engine.ok('build', '-t', tag, context);
  return engine.inspect(tag, '{{.Id}}');
}

/** The tree of an image as a container here sees it. */
async function treeHere(image: string): Promise<string[]> {
  const id = await engine.ok(
    'run',
    '-d',
    '--network',
    'none',
    '--entrypoint',
    '/bin/busybox',
    image,
    'sleep',
    '1000',
  );
  const tree = await listTree(await engine.inspect(id, '{{.GraphDriver.Data.MergedDir}}'));
  await engine.ok('rm', '-f', id);
  return tree;
}

async function treeOfPodman(image: string): Promise<string[]> {
  const path = await peers.podman('image', 'mount', image);
  const tree = await listTree(path);
  await peers.podman('image', 'umount', image);
  return tree;
}

async function layersHere(image: string): Promise<string[]> {
  return JSON.parse(await engine.inspect(image, '{{json .RootFS.Layers}}')) as string[];
}

async function layersOfPodman(image: string): Promise<string[]> {
  return JSON.parse(await peers.podman('inspect', '--format', '{{json .RootFS.Layers}}', image)) as string[];
}

async function idOfPodman(image: string): Promise<string> {
  return `sha256:${await peers.podman('inspect', '--format', '{{.Id}}', image)}`;
}

/** Pulls what others pushed and compares it with the manifest as it was pushed. */
async function pullHere(reference: string): Promise<Manifest> {
  await engine.ok('pull', reference);
  const raw = await peers.manifest(reference);
  const manifest = JSON.parse(raw) as Manifest;
  const digest = digestOf(Buffer.from(raw));
  assert.equal(await engine.inspect(reference, '{{.Id}}'), manifest.config.digest);
  assert.match(await engine.inspect(reference, '{{json .RepoDigests}}'), new RegExp(digest));
  return manifest;
}

test('podman pulls from our registry what was built and pushed here, and runs it', async () => {
  const reference = `${registry.host}/made/here:1`;
  const id = await buildHere(reference);
  assert.ok((await layersHere(reference)).length >= 5);
  const pushed = await engine.ok('push', reference);
  const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1];
  const raw = await peers.manifest(reference);
  assert.equal(digestOf(Buffer.from(raw)), digest);
  const manifest = JSON.parse(raw) as Manifest;
  assert.equal(manifest.config.digest, id);
  await peers.podman('pull', tls, reference);
  assert.equal(await idOfPodman(reference), id);
  assert.equal(await peers.podman('inspect', '--format', '{{.Digest}}', reference), digest);
  assert.deepEqual(await layersOfPodman(reference), await layersHere(reference));
  // Every blob as skopeo takes it off the registry is the one kept here.
  const copy = join(engine.folder, 'copy');
  await peers.skopeo('copy', '--src-tls-verify=false', `docker://${reference}`, `dir:${copy}`);
  for (const blob of [manifest.config, ...manifest.layers]) {
    const hex = blob.digest.slice(7);
    const here = readFileSync(join(engine.folder, 'root/content/sha256', hex));
    assert.deepEqual(readFileSync(join(copy, hex)), here, blob.digest);
    assert.equal(here.length, blob.size);
  }
  const run = await peers.podman('run', '--rm', '--network', 'none', reference);
  assert.equal(run, await engine.ok('run', '--rm', reference));
  assert.match(run, /^copied/);
  assert.deepEqual(await treeOfPodman(reference), await treeHere(reference));
});

test('what buildah built and skopeo pushed to our registry is pulled and run here', async () => {
  const context = join(engine.folder, 'buildah-context');
  mkdirSync(context);
  copyFileSync('/bin/busybox', join(context, 'busybox'));
  writeFileSync(join(context, 'odd.tar'), archive(...oddFiles()));
  writeFileSync(
    join(context, 'Containerfile'),
    [
      'FROM scratch',
      'COPY busybox /bin/busybox',
      'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin"]',
      'ADD odd.tar /',
      'RUN ["/bin/busybox", "sh", "-c", "rm -r /odd/to-delete /odd/folder-to-delete; echo changed >/odd/to-change"]',
      'RUN ["/bin/busybox", "sh", "-c", "rm -r /odd/to-empty; mkdir /odd/to-empty; echo new >/odd/to-empty/new"]',
      'CMD ["/bin/busybox", "cat", "/odd/to-change"]',
    ].join('\n'),
  );
  for (const format of ['oci', 'docker']) {
    const name = `localhost/buildah-${format}`;
    const reference = `${registry.host}/made/buildah:${format}`;
    await peers.buildah(
      'build',
      '--isolation',
      'chroot',
      '--layers',
      '--format',
      format,
      '-t',
      name,
      context,
    );
    await peers.skopeo('copy', '--dest-tls-verify=false', peers.storage(name), `docker://${reference}`);
    await pullHere(reference);
    assert.equal(await engine.inspect(reference, '{{.Id}}'), await idOfPodman(name));
    assert.deepEqual(await layersHere(reference), await layersOfPodman(name));
    assert.equal(await engine.ok('run', '--rm', reference), 'changed');
    assert.deepEqual(await treeHere(reference), await treeOfPodman(name));
    // Back again: pushed elsewhere from here it has the same digest.
    await engine.ok('tag', reference, `${registry.host}/again/${format}:1`);
    await engine.ok('push', `${registry.host}/again/${format}:1`);
    assert.equal(await peers.manifest(`${registry.host}/again/${format}:1`), await peers.manifest(reference));
  }
});

test('what umoci made is pulled and run here', async () => {
  const layout = join(engine.folder, 'umoci');
  const bundle = join(engine.folder, 'bundle');
  const umoci = (...args: string[]): unknown => execFileSync('umoci', args);
  umoci('init', '--layout', layout);
  umoci('new', '--image', `${layout}:one`);
  umoci('unpack', '--image', `${layout}:one`, bundle);
  const root = join(bundle, 'rootfs');
  for (const name of ['bin', 'odd']) mkdirSync(join(root, name));
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  writeFileSync(join(root, 'odd/deleted'), 'x');
  writeFileSync(join(root, 'odd/setuid'), 'x');
  chownSync(join(root, 'odd/setuid'), 12, 34);
  chmodSync(join(root, 'odd/setuid'), 0o6755);
  linkSync(join(root, 'odd/setuid'), join(root, 'odd/twin'));
  symlinkSync('../bin/busybox', join(root, 'odd/link'));
  execFileSync('setfattr', [
    '-n',
    'security.capability',
    '-v',
    `0x${capability.toString('hex')}`,
    join(root, 'bin/busybox'),
  ]);
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'kept', join(root, 'odd')]);
  umoci('repack', '--image', `${layout}:one`, bundle);
  rmSync(bundle, { recursive: true });
  umoci('unpack', '--image', `${layout}:one`, bundle);
  rmSync(join(root, 'odd/deleted'));
  writeFileSync(join(root, 'odd/new'), 'new\n');
  utimesSync(join(root, 'odd/new'), 1, 2);
  umoci('repack', '--image', `${layout}:two`, bundle);
  umoci(
    'config',
    '--image',
    `${layout}:two`,
    '--config.cmd',
    '/bin/busybox',
    '--config.cmd',
    'cat',
    '--config.cmd',
    '/odd/new',
  );
  const reference = `${registry.host}/made/umoci:2`;
  await peers.skopeo('copy', '--dest-tls-verify=false', `oci:${layout}:two`, `docker://${reference}`);
  const manifest = await pullHere(reference);
  assert.equal(manifest.layers.length, 2);
  assert.equal(await engine.ok('run', '--rm', reference), 'new');
  const fresh = join(engine.folder, 'fresh');
  umoci('unpack', '--image', `${layout}:two`, fresh);
  assert.deepEqual(await treeHere(reference), await listTree(join(fresh, 'rootfs')));
});

test('podman loads what is saved here and saves what is loaded here', async () => {
  const id = await buildHere('saved:1');
  const archivePath = join(engine.folder, 'saved.tar');
  await engine.ok('save', '-o', archivePath, 'saved:1');
  await peers.podman('load', '-i', archivePath);
  const name = 'docker.io/library/saved:1';
  assert.equal(await idOfPodman(name), id);
  assert.deepEqual(await layersOfPodman(name), await layersHere('saved:1'));
  const tree = await treeHere('saved:1');
  assert.deepEqual(await treeOfPodman(name), tree);
  for (const format of ['docker-archive', 'oci-archive']) {
    const output = join(engine.folder, `podman-${format}.tar`);
    await peers.podman('save', '--format', format, '-o', output, name);
    await engine.ok('rmi', 'saved:1');
    await engine.ok('builder', 'prune', '-f');
    assert.match(await engine.ok('load', '-i', output), /saved:1/, format);
    // podman writes an OCI config anew; docker's archive keeps it.
    if (format === 'docker-archive') assert.equal(await engine.inspect('saved:1', '{{.Id}}'), id);
    assert.deepEqual(await layersHere('saved:1'), await layersOfPodman(name), format);
    assert.deepEqual(await treeHere('saved:1'), tree, format);
  }
});

test('dockerd loads what is saved here and saves what is loaded here', async (t) => {
  await using stack = new AsyncDisposableStack();
  const started = await DockerDaemon.start(engine.netns, join(engine.folder, 'dockerd'));
  if (typeof started === 'string') return t.skip(started);
  const daemon = stack.use(started);
  const treeThere = async (image: string): Promise<string[]> => {
    const id = daemon.ok(
      'run',
      '-d',
      '--network',
      'none',
      '--entrypoint',
      '/bin/busybox',
      image,
      'sleep',
      '1000',
    );
    const tree = await listTree(daemon.ok('inspect', '--format', '{{.GraphDriver.Data.MergedDir}}', id));
    daemon.ok('rm', '-f', id);
    return tree;
  };
  const layersThere = (image: string): unknown =>
    JSON.parse(daemon.ok('inspect', '--format', '{{json .RootFS.Layers}}', image));

  const id = await buildHere('to-dockerd:1');
  const path = join(engine.folder, 'to-dockerd.tar');
  await engine.ok('save', '-o', path, 'to-dockerd:1');
  assert.match(daemon.ok('load', '-i', path), /Loaded image: to-dockerd:1/);
  assert.equal(daemon.ok('inspect', '--format', '{{.Id}}', 'to-dockerd:1'), id);
  assert.deepEqual(layersThere('to-dockerd:1'), await layersHere('to-dockerd:1'));
  const tree = await treeHere('to-dockerd:1');
  assert.deepEqual(await treeThere('to-dockerd:1'), tree);
  assert.equal(
    daemon.ok('run', '--rm', '--network', 'none', 'to-dockerd:1'),
    await engine.ok('run', '--rm', 'to-dockerd:1'),
  );

  // One that dockerd built on top of it, with its own layers.
  const context = join(engine.folder, 'dockerd-context');
  mkdirSync(context);
  writeFileSync(join(context, 'odd.tar'), archive(...oddFiles('more')));
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM to-dockerd:1\nADD odd.tar /\nRUN rm -r /more/to-delete /odd/link && mv /more/first /more/moved && chmod 4711 /more/empty\nLABEL by=dockerd\n',
  );
  daemon.ok('build', '--network', 'none', '-t', 'by-dockerd:1', context);
  const back = join(engine.folder, 'by-dockerd.tar');
  daemon.ok('save', '-o', back, 'by-dockerd:1', 'to-dockerd:1');
  await engine.ok('rmi', 'to-dockerd:1');
  await engine.ok('builder', 'prune', '-f');
  await engine.ok('load', '-i', back);
  assert.equal(await engine.inspect('to-dockerd:1', '{{.Id}}'), id);
  assert.equal(
    await engine.inspect('by-dockerd:1', '{{.Id}}'),
    daemon.ok('inspect', '--format', '{{.Id}}', 'by-dockerd:1'),
  );
  assert.deepEqual(await layersHere('by-dockerd:1'), layersThere('by-dockerd:1'));
  assert.deepEqual(await treeHere('to-dockerd:1'), tree);
  assert.deepEqual(await treeHere('by-dockerd:1'), await treeThere('by-dockerd:1'));
  assert.equal(await engine.inspect('by-dockerd:1', '{{index .Config.Labels "by"}}'), 'dockerd');

  // And through our registry, which dockerd pushes to and pulls from.
  const reference = `${registry.host}/by/dockerd:1`;
  daemon.ok('tag', 'by-dockerd:1', reference);
  daemon.ok('push', reference);
  await pullHere(reference);
  assert.deepEqual(await layersHere(reference), layersThere('by-dockerd:1'));
  await engine.ok('tag', 'by-dockerd:1', `${registry.host}/by/here:1`);
  await engine.ok('push', `${registry.host}/by/here:1`);
  daemon.ok('pull', `${registry.host}/by/here:1`);
  assert.equal(
    daemon.ok('inspect', '--format', '{{.Id}}', `${registry.host}/by/here:1`),
    await engine.inspect('by-dockerd:1', '{{.Id}}'),
  );
});

test('of an index the right platform is pulled', async () => {
  const layout = join(engine.folder, 'platforms');
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  const blob = (bytes: Buffer): void =>
    writeFileSync(join(layout, 'blobs/sha256', digestOf(bytes).slice(7)), bytes);
  const ids = new Map<string, string>();
  const manifests = ['amd64', 'arm64', 's390x'].map((architecture) => {
    const image = makeImage([archive(file('architecture', architecture))], {
      config: (truth) => ({ ...truth, architecture }),
    });
    for (const bytes of image.blobs.values()) blob(bytes);
    blob(image.manifest);
    ids.set(architecture, digestOf(image.config));
    return {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: digestOf(image.manifest),
      size: image.manifest.length,
      platform: { architecture, os: 'linux' },
    };
  });
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }),
  );
  blob(index);
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.index.v1+json',
          digest: digestOf(index),
          size: index.length,
          annotations: { 'org.opencontainers.image.ref.name': 'all' },
        },
      ],
    }),
  );
  const reference = `${registry.host}/platforms/skopeo:1`;
  await peers.skopeo(
    'copy',
    '--all',
    '--dest-tls-verify=false',
    `oci:${layout}:all`,
    `docker://${reference}`,
  );
  assert.equal(await peers.manifest(reference), index.toString());
  const own = process.arch === 'arm64' ? 'arm64' : 'amd64';
  await engine.ok('pull', reference);
  assert.equal(await engine.inspect(reference, '{{.Id}} {{.Architecture}}'), `${ids.get(own)} ${own}`);
  assert.match(await engine.inspect(reference, '{{json .RepoDigests}}'), new RegExp(digestOf(index)));
  await engine.ok('pull', '--platform', 'linux/s390x', reference);
  assert.equal(await engine.inspect(reference, '{{.Id}} {{.Architecture}}'), `${ids.get('s390x')} s390x`);
  await engine.fails(
    1,
    /no matching manifest for linux\/riscv64/,
    'pull',
    '--platform',
    'linux/riscv64',
    reference,
  );

  const list = `${registry.host}/platforms/podman:1`;
  await peers.podman('manifest', 'create', 'list');
  for (const { digest } of manifests.slice(0, 2))
    await peers.podman('manifest', 'add', tls, 'list', `docker://${reference.slice(0, -2)}@${digest}`);
  await peers.podman('manifest', 'push', tls, '--all', 'list', `docker://${list}`);
  await engine.ok('pull', list);
  assert.equal(await engine.inspect(list, '{{.Id}}'), ids.get(own));
  // By the platform's own digest.
  const arm = manifests[1]?.digest ?? '';
  await engine.ok('pull', `${registry.host}/platforms/podman@${arm}`);
  assert.equal(await engine.inspect(`${registry.host}/platforms/podman@${arm}`, '{{.Id}}'), ids.get('arm64'));
});

test('the stores of all are whole afterwards', () => {
  const blobs = join(engine.folder, 'root/content/sha256');
  assert.ok(existsSync(blobs));
  for (const name of readdirSync(blobs))
    assert.equal(digestOf(readFileSync(join(blobs, name))), `sha256:${name}`);
});
