import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { mountsBelow, unmount } from '../../../linux/index.ts';
import { linkName } from './layout.ts';
import { mountByOptions, mountByString, mountOverlay, type OverlayMount } from './overlay-mount.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync('/var/tmp/varve-overlay-');
});
afterEach(() => {
  for (const { target } of mountsBelow(folder).reverse()) unmount(target, { detach: true });
  rmSync(folder, { recursive: true });
});

/** A stack of `count` layers, each with a file of its own and one that all have. */
function stack(count: number, base = folder): OverlayMount {
  const lowers = Array.from({ length: count }, (_, i) => {
    const id = `${i}`.padStart(26, '0').padEnd(64, 'a');
    const path = join(base, id, 'diff');
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, `own-${i}`), '');
    writeFileSync(join(path, 'top'), String(i));
    return { id, path };
  });
  const id = 'f'.repeat(64);
  const upper = { path: join(base, id, 'diff'), work: join(base, id, 'work') };
  for (const path of [upper.path, upper.work, join(base, 'merged')]) mkdirSync(path, { recursive: true });
  return { base, lowers: lowers.reverse(), upper, target: join(base, 'merged') };
}

function check(overlay: OverlayMount): void {
  const count = overlay.lowers.length;
  assert.equal(readFileSync(join(overlay.target, 'top'), 'utf8'), String(count - 1));
  assert.equal(readdirSync(overlay.target).length, count + 1);
  writeFileSync(join(overlay.target, 'top'), 'mine');
  assert.equal(readFileSync(join(overlay.upper?.path ?? '', 'top'), 'utf8'), 'mine');
  const options = mountsBelow(overlay.target)[0]?.superOptions ?? '';
  assert.doesNotMatch(options, /index=on|redirect_dir=on|metacopy=on|userxattr/);
}

test('stacks 500 layers and says why it cannot stack 501', () => {
  const overlay = stack(500);
  mountOverlay(overlay);
  check(overlay);
  const [one] = overlay.lowers;
  assert.ok(one);
  assert.throws(() => mountOverlay({ ...overlay, lowers: [...overlay.lowers, one] }), {
    kind: 'invalid',
    code: 'TOO_MANY_LAYERS',
  });
});

test('stacks 128 layers on a kernel that has only mount(2)', () => {
  const overlay = stack(128);
  const before = process.cwd();
  mountByString(overlay);
  assert.equal(realpathSync('.'), before);
  check(overlay);
  assert.throws(() => mountByString(stack(150)), { code: 'TOO_MANY_LAYERS' });
});

test('stacks folders that lie elsewhere on a kernel that has only mount(2), as the probes do', () => {
  const overlay = stack(1);
  const path = join(folder, 'else where');
  mkdirSync(path);
  writeFileSync(join(path, 'other'), '');
  mountByString({ ...overlay, lowers: [{ id: 'other', path }, ...overlay.lowers] });
  assert.deepEqual(readdirSync(overlay.target).sort(), ['other', 'own-0', 'top']);
});

test('makes a short name again that was lost', () => {
  const overlay = stack(3);
  mountByString(overlay);
  unmount(overlay.target);
  const [first] = overlay.lowers;
  assert.ok(first);
  unlinkSync(join(folder, 'l', linkName(first.id)));
  mountByString(overlay);
  check(overlay);
});

test('mounts below a data root whose path no option can hold', () => {
  const base = join(folder, 'x'.repeat(200), 'y'.repeat(200));
  mkdirSync(base, { recursive: true });
  const overlay = stack(3, base);
  mountByOptions(overlay);
  check(overlay);
});

test('mounts below a data root with colons, commas and backslashes in its name', () => {
  for (const mount of [mountByOptions, mountByString]) {
    const base = join(folder, `a:b,c\\d ${mount.name}`);
    mkdirSync(base);
    const overlay = stack(2, base);
    mount(overlay);
    check(overlay);
  }
});
