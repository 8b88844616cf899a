import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../oci/index.ts';
import {
  adviceFor,
  buildStack,
  diffLayers,
  explainPath,
  type LayerEntry,
  largest,
  layerInstructions,
  renderLedger,
  renderPath,
  type Stack,
  wasteLedger,
} from './index.ts';

interface Options {
  readonly mode?: number;
  readonly uid?: number;
  readonly mtime?: number;
}

function file(path: string, content: string, { mode = 0o644, uid = 0, mtime = 0 }: Options = {}): LayerEntry {
  return { path, type: 'file', size: content.length, mode, uid, gid: 0, mtime, digest: digestOf(content) };
}

const folder = (path: string): LayerEntry => ({
  path,
  type: 'directory',
  size: 0,
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: 0,
});
const link = (path: string, linkName: string): LayerEntry => ({
  ...file(path, ''),
  type: 'symlink',
  linkName,
});
const hardlink = (path: string, linkName: string): LayerEntry => ({
  ...file(path, ''),
  type: 'hardlink',
  linkName,
});
const whiteout = (path: string): LayerEntry => file(path.replace(/[^/]+$/, '.wh.$&'), '');

/** Layers as pairs of instruction and entries, bottom first. */
function stackOf(...layers: readonly (readonly [instruction: string, ...entries: LayerEntry[]])[]): Stack {
  return buildStack({ layers: layers.map(([instruction, ...entries]) => ({ instruction, entries })) });
}

const app = stackOf(
  ['ADD rootfs.tar /', folder('etc'), file('etc/passwd', 'root'), file('usr/lib/big.so', 'b'.repeat(5000))],
  ['COPY . /app', folder('app'), file('app/main.js', 'm'.repeat(900)), file('app/tmp.log', 't'.repeat(40))],
  [
    'RUN chown -R 7 /app',
    folder('app'),
    file('app/main.js', 'm'.repeat(900), { uid: 7 }),
    file('app/tmp.log', 't'.repeat(40), { uid: 7 }),
  ],
  [
    'RUN useradd app && rm /app/tmp.log',
    file('etc/passwd', 'root app'),
    whiteout('app/tmp.log'),
    whiteout('app/never'),
  ],
);

test('tells which layer a file comes from, what it hides and what a write would cost', () => {
  const told = explainPath(app, '/etc/passwd');
  assert.equal(told.seen?.layer.index, 3);
  assert.deepEqual(
    told.findings.map(({ layer, role, hiddenBy }) => [
      layer.index,
      role,
      hiddenBy?.layer.index,
      hiddenBy?.hiding.by,
    ]),
    [
      [3, 'seen', undefined, undefined],
      [0, 'hidden', 3, 'replacement'],
    ],
  );
  assert.equal(told.deadBytes, 4);
  assert.deepEqual(told.write, { copyUpBytes: 8, folders: ['/etc'], otherNames: [] });
});

test('tells what deleted a file, and since when', () => {
  const told = explainPath(app, 'app/tmp.log');
  assert.equal(told.exists, false);
  assert.deepEqual(
    told.findings.map(({ layer, role, hiddenBy }) => [layer.index, role, hiddenBy?.layer.index]),
    [
      [3, 'deletes', undefined],
      [2, 'hidden', 3],
      [1, 'hidden', 2],
    ],
  );
  assert.equal(told.deadBytes, 80);
  assert.equal(told.write, undefined);
});

test('accounts for every byte once, with its cause', () => {
  const ledger = wasteLedger(app);
  assert.equal(ledger.shippedBytes, 4 + 5000 + 940 + 940 + 8);
  assert.equal(ledger.seenBytes, 5000 + 900 + 8);
  assert.deepEqual(ledger.causes, {
    overwritten: { files: 1, bytes: 4 },
    'metadata-only': { files: 2, bytes: 940 },
    deleted: { files: 1, bytes: 40 },
    'replaced-in-layer': { files: 0, bytes: 0 },
  });
  assert.equal(ledger.wastedBytes, 984);
  assert.deepEqual(
    ledger.danglingWhiteouts.map(({ path }) => path),
    ['/app/never'],
  );
  assert.deepEqual(
    ledger.groups.map(({ cause, files, bytes, layer, by, differs }) => [
      cause,
      files,
      bytes,
      layer.index,
      by.index,
      ...differs,
    ]),
    [
      ['metadata-only', 2, 940, 1, 2, 'owner'],
      ['deleted', 1, 40, 2, 3],
      ['overwritten', 1, 4, 0, 3],
    ],
  );
  assert.deepEqual(
    ledger.layers.map(({ storedBytes, seenBytes, cumulativeBytes }) => [
      storedBytes,
      seenBytes,
      cumulativeBytes,
    ]),
    [
      [5004, 5000, 5004],
      [940, 0, 5944],
      [940, 900, 6884],
      [8, 8, 6892],
    ],
  );
});

test('a file deleted after it was hidden long ago is wasted once, at its first hiding', () => {
  const stack = stackOf(
    ['one', file('a/x', 'first')],
    ['two', whiteout('a')],
    ['three', file('a/x', 'second!')],
    ['four', whiteout('a/x')],
  );
  const { items, wastedBytes, seenBytes } = wasteLedger(stack);
  assert.deepEqual(
    items.map(({ bytes, cause, by, hiding }) => [bytes, cause, by.index, hiding?.by, hiding?.at]),
    [
      [7, 'deleted', 3, 'whiteout', '/a/x'],
      [5, 'deleted', 1, 'whiteout', '/a'],
    ],
  );
  assert.deepEqual([wastedBytes, seenBytes], [12, 0]);
});

test('a hard link keeps a file alive until its last name is gone', () => {
  const layers = [
    ['one', file('a', 'shared'), hardlink('b', 'a'), hardlink('c/d', 'b')],
    ['two', whiteout('a'), whiteout('b')],
  ] as const;
  const alive = wasteLedger(stackOf(...layers));
  assert.deepEqual([alive.shippedBytes, alive.seenBytes, alive.items.length], [6, 6, 0]);
  const told = explainPath(stackOf(...layers), 'a');
  assert.deepEqual([told.exists, told.deadBytes], [false, 0]);
  const dead = wasteLedger(stackOf(...layers, ['three', whiteout('c')]));
  assert.deepEqual(
    dead.items.map(({ path, bytes, by }) => [path, bytes, by.index]),
    [['/c/d', 6, 2]],
  );
});

test('a folder emptied and filled again in one layer shows which files came back the same', () => {
  const stack = stackOf(
    ['one', folder('d'), file('d/same', 'same'), file('d/new', 'old'), file('d/gone', 'gone!')],
    [
      'two',
      folder('d'),
      file('d/.wh..wh..opq', ''),
      file('d/same', 'same', { mtime: 5 }),
      file('d/new', 'new'),
    ],
  );
  const { items } = wasteLedger(stack);
  assert.deepEqual(
    items.map(({ path, cause, differs }) => [path, cause, differs]),
    [
      ['/d/gone', 'deleted', undefined],
      ['/d/same', 'metadata-only', ['mtime']],
      ['/d/new', 'overwritten', undefined],
    ],
  );
});

test('a name that comes twice in one archive counts as waste of that layer', () => {
  const { items, shippedBytes } = wasteLedger(stackOf(['one', file('a', 'first'), file('a', 'second')]));
  assert.equal(shippedBytes, 11);
  assert.deepEqual(
    items.map(({ bytes, cause }) => [bytes, cause]),
    [[5, 'replaced-in-layer']],
  );
});

test('equal files under several names are shown, and are no waste of layers', () => {
  const { duplicates, wastedBytes } = wasteLedger(
    stackOf(['one', file('a', 'same'), file('b', 'same')], ['two', file('c', 'same')]),
  );
  assert.deepEqual(
    duplicates.map(({ bytes, paths }) => [bytes, paths]),
    [[4, ['/a', '/b', '/c']]],
  );
  assert.equal(wastedBytes, 0);
});

test('a file over a folder hides all that was in it', () => {
  const stack = stackOf(['one', file('d/x', '12345')], ['two', file('d', 'file')]);
  const told = explainPath(stack, 'd/x');
  assert.equal(told.exists, false);
  assert.deepEqual(told.findings[1]?.hiddenBy?.hiding, { by: 'not-a-folder', at: '/d' });
  assert.equal(wasteLedger(stack).causes.deleted.bytes, 5);
});

test('compares the trees before and after layers', () => {
  assert.deepEqual(
    diffLayers(app, 1, 3).map(({ path, kind, bytes, differs }) => [path, kind, bytes, ...differs]),
    [
      ['/app/main.js', 'changed', 0, 'owner'],
      ['/app/tmp.log', 'removed', -40],
      ['/etc/passwd', 'changed', 4, 'content', 'size'],
    ],
  );
  assert.equal(diffLayers(app, -1, 0).length, 5);
  assert.deepEqual(diffLayers(app, 2, 2), []);
});

test('lists the largest files, each once', () => {
  assert.deepEqual(
    largest(
      stackOf(['one', file('a', '1'), file('b', '22'), hardlink('c', 'b')], ['two', file('d', '333')]),
      2,
    ).map(({ path, layer }) => [path, layer.index]),
    [
      ['/d', 1],
      ['/b', 0],
    ],
  );
});

test('gives each layer its instruction, or none where the history does not fit', () => {
  const config = {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers' as const, diff_ids: [digestOf('a'), digestOf('b')] },
    history: [{ created_by: 'ADD x' }, { created_by: 'ENV y', empty_layer: true }, { created_by: 'RUN z' }],
  };
  assert.deepEqual(layerInstructions(config), ['ADD x', 'RUN z']);
  assert.deepEqual(layerInstructions({ ...config, history: [{ created_by: 'ADD x' }] }), [
    undefined,
    undefined,
  ]);
});

test('advises by cause and by how the files came in', () => {
  const [chown] = wasteLedger(app).groups;
  assert.ok(chown);
  assert.equal(adviceFor(chown).code, 'set-owner-in-copy');
  assert.equal(adviceFor({ ...chown, differs: ['mode'] }).code, 'set-mode-in-copy');
  assert.equal(
    adviceFor({ ...chown, layer: { index: 1, instruction: 'RUN make' } }).code,
    'change-where-made',
  );
  assert.equal(adviceFor({ ...chown, cause: 'deleted' }).code, 'delete-where-made');
});

test('tells a path in words', () => {
  assert.equal(
    renderPath(explainPath(app, '/etc/passwd')),
    `/etc/passwd comes from layer 4 (RUN useradd app && rm /app/tmp.log).
  layer 4 (RUN useradd app && rm /app/tmp.log): file, mode 0644, owner 0:0, 8 bytes; this is what is seen
  layer 1 (ADD rootfs.tar /): file, mode 0644, owner 0:0, 4 bytes; hidden by layer 4, which has a version of its own
4 bytes at this path are shipped and can never be seen.
The first write in a container copies 8 bytes up; so does a chmod, chown or touch.
A write in a container makes 1 folder in its layer first: /etc.`,
  );
  assert.equal(
    renderPath(explainPath(app, '/app/never')),
    `No layer has /app/never.
  layer 4 (RUN useradd app && rm /app/tmp.log): deletes it, though no layer below has it`,
  );
  const links = stackOf(['one', link('bin', 'usr/bin'), file('usr/bin/sh', 'x'), link('l', 'l')]);
  assert.match(
    renderPath(explainPath(links, '/bin/sh')),
    /^\/bin is a link to usr\/bin, of layer 1\.\n\/usr\/bin\/sh comes from layer 1/,
  );
  assert.match(renderPath(explainPath(links, '/l/x')), /go round in circles\.$/);
});

test('tells a ledger in words', () => {
  const text = renderLedger(wasteLedger(app));
  const parts = [
    '4 layers ship 6.89kB (6,892 bytes); 5.91kB (5,908 bytes) can be seen.',
    '984 bytes can never be seen: 14.3 %.',
    '  layer 2 (COPY . /app): 940 bytes, of which 0 bytes can be seen',
    '  2 files of layer 2 (COPY . /app), 940 bytes: shipped again with the same content, since only attributes changed (owner), layer 3 (RUN chown -R 7 /app)',
    '    the largest: /app/main.js',
    '    give the owner when copying: COPY --chown=… instead of a chown afterwards',
    '  /app/never, layer 4 (RUN useradd app && rm /app/tmp.log)',
  ];
  const lines = text.split('\n');
  for (const part of parts) assert.ok(lines.includes(part), `${part}\nnot in\n${text}`);
});
