import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { applyLayer, writeLayer } from '../../../layer/index.ts';
import { mountFilesystem } from '../../../linux/index.ts';
import { asObject, listTree } from '../../testing/index.ts';
import { bash, MountedUnion, makeLower as base } from './testing/mounted-union.ts';

test("what the union wrote, turned into overlayfs's form, shows the same in the kernel's overlayfs", async () => {
  await using union = await MountedUnion.mount([base]);
  const { root } = union;
  bash(
    root,
    `echo more >> dir/a; rm dir/b; rm -r dir/sub; mkdir dir/sub; echo new > dir/sub/new; rm file; mkdir file; ln -s x file/link
     mv other empty/other; mkdir made; mv made moved; chmod 700 empty; mkfifo pipe; ln dir/a hard; touch -d 2001-02-03 dir/a`,
  );
  const shown = asObject(listTree(root));
  const at = (name: string): string => join(union.folder, name);
  for (const name of ['upper', 'work', 'overlay']) mkdirSync(at(name));
  const source = { kind: 'aufs', upper: union.branch, lowers: union.lowers } as const;
  await writeLayer(source, at('layer.tar'), 'none');
  await applyLayer(
    { path: at('layer.tar'), compression: 'none' },
    { root: at('upper'), whiteouts: 'overlay' },
  );
  const [lower] = union.lowers as [string];
  mountFilesystem(
    'overlay',
    [
      ['lowerdir', lower],
      ['upperdir', at('upper')],
      ['workdir', at('work')],
    ],
    at('overlay'),
  );
  assert.deepEqual(asObject(listTree(at('overlay'))), shown);
});

test('GNU tar unpacks and packs through the mount as into any folder', async () => {
  await using union = await MountedUnion.mount([base]);
  const at = (name: string): string => join(union.folder, name);
  mkdirSync(at('plain'));
  bash(union.folder, 'tar -C /usr/include/linux -cf some.tar usb netfilter byteorder');
  for (const folder of [at('plain'), union.root]) bash(folder, 'tar -xpf ../some.tar');
  bash(union.root, 'rm -r dir empty file other');
  assert.deepEqual(asObject(listTree(union.root)), asObject(listTree(at('plain'))));
  const pack = (folder: string): string =>
    bash(folder, 'tar --sort=name -cf - usb netfilter byteorder | sha256sum');
  assert.equal(pack(union.root), pack(at('plain')));
});

test('a package is replaced file by file as dpkg does it', async () => {
  const files = Array.from({ length: 40 }, (_, index) => `lib/file-${index}`);
  const install = (root: string, version: string): void => {
    mkdirSync(join(root, 'lib'), { recursive: true });
    for (const name of files) {
      const path = join(root, name);
      writeFileSync(`${path}.dpkg-new`, version);
      const fd = openSync(`${path}.dpkg-new`, 'r');
      fsyncSync(fd);
      closeSync(fd);
      if (existsSync(path)) linkSync(path, `${path}.dpkg-tmp`);
      renameSync(`${path}.dpkg-new`, path);
      rmSync(`${path}.dpkg-tmp`, { force: true });
    }
  };
  await using union = await MountedUnion.mount([(folder) => install(folder, 'one')]);
  install(union.root, 'two');
  assert.deepEqual(readdirSync(union.at('lib')).sort(), files.map((name) => name.slice(4)).sort());
  for (const name of files) assert.equal(readFileSync(union.at(name), 'utf8'), 'two');
  assert.deepEqual(union.held(), ['lib', ...files].sort());
});

/** Random changes of names by one process, the same for a seed; what fails is part of it. */
const randomChanges = `
import { appendFileSync, linkSync, mkdirSync, renameSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs';
const [root, seed] = process.argv.slice(1);
let state = Number(seed);
const next = (n) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
const name = () => root + '/' + ['dir', 'dir/sub', 'empty'][next(3)] + '/' + seed + '-' + next(12);
const acts = [
  () => writeFileSync(name(), 'made'), () => appendFileSync(name(), 'more'), () => unlinkSync(name()),
  () => renameSync(name(), name()), () => linkSync(name(), name()), () => mkdirSync(name()), () => rmdirSync(name()),
];
let failures = 0;
for (let i = 0; i < 400; i++) { try { acts[next(acts.length)](); } catch (error) { failures = failures * 31 + error.errno | 0; } }
process.stdout.write(String(failures));
`;

test('processes that change names at the same time get what each would in a plain folder', async () => {
  const seeds = ['1', '2', '3', '4'];
  const fill = (folder: string): void => {
    base(folder);
    for (const seed of seeds) {
      for (let i = 0; i < 12; i += 2) writeFileSync(join(folder, 'dir', `${seed}-${i}`), seed);
    }
  };
  await using union = await MountedUnion.mount([fill]);
  const plain = join(union.folder, 'plain');
  mkdirSync(plain);
  fill(plain);
  const run = async (root: string): Promise<string[]> =>
    await Promise.all(
      seeds.map(async (seed) => {
        const args = ['--input-type=module', '--eval', randomChanges, '--', root, seed];
        const { stdout } = await promisify(execFile)(process.execPath, args);
        return stdout;
      }),
    );
  assert.deepEqual(await run(union.root), await run(plain));
  const ignoreTimes = { ignoreTimes: true };
  assert.deepEqual(asObject(listTree(union.root, ignoreTimes)), asObject(listTree(plain, ignoreTimes)));
  await union.remount();
  assert.deepEqual(asObject(listTree(union.root, ignoreTimes)), asObject(listTree(plain, ignoreTimes)));
});
