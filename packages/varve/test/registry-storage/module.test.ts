import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { startRegistry } from '../../src/registry/index.ts';
import { openModuleStorage } from '../../src/registry/storage/module/index.ts';
import { testStorage } from '../../src/registry/storage/testing/suite.ts';
import { atEnd, temporaryRoot } from '../../src/registry/testing/index.ts';

const example = resolve(import.meta.dirname, '../../../../examples/storage-backend/sqlite-backend.mjs');

testStorage({
  name: 'a module (examples/storage-backend)',
  open: async (t) => {
    const file = join(temporaryRoot(t), 'blobs.db');
    const again = async () => {
      const storage = await openModuleStorage(example, { file });
      atEnd(t, () => storage.close());
      return storage;
    };
    return { storage: await again(), again };
  },
});

for (const [what, text, message] of [
  ['is not there', undefined, /cannot be loaded/],
  ['has an error', 'export const x = ;', /cannot be loaded/],
  ['exports nothing of that name', 'export const other = 1;', /exports no function openStorage/],
  [
    'returns something else',
    'export const openStorage = () => ({ stat() {} });',
    /lacks read, create, resume/,
  ],
  [
    'brings half a store',
    "export const openStorage = (_, kit) => kit.objectStorage({ name: 'x', stat() {} });",
    /the object store lacks read, put, assemble/,
  ],
] as const) {
  test(`a module that ${what} is refused with what is missing`, async (t) => {
    const path = join(temporaryRoot(t), 'backend.mjs');
    if (text !== undefined) writeFileSync(path, text);
    await assert.rejects(openModuleStorage(path), { code: 'STORAGE_MODULE_INVALID', message });
  });
}

test('a registry on a module leaves alone what another server is receiving, and drops what is old', async (t) => {
  const root = temporaryRoot(t);
  const storage = { module: example, options: { file: join(root, 'blobs.db') } };
  const other = await openModuleStorage(storage.module, storage.options);
  atEnd(t, () => other.close());
  // One request to another server: nobody can come back to it, and it is not done.
  const session = await other.create(randomUUID());
  await session.append(
    (async function* () {
      yield randomBytes(9_000_000);
    })(),
  );
  const uploads = async (): Promise<number> => {
    let count = 0;
    for await (const { resumable } of other.uploads()) count += resumable ? 0 : 1;
    return count;
  };
  for (const [age, left] of [
    ['1h', 1],
    ['0s', 0],
  ] as const) {
    const registry = await startRegistry({
      http: { addr: '127.0.0.1:0' },
      storage: {
        ...storage,
        filesystem: { rootdirectory: join(root, 'records') },
        maintenance: { uploadpurging: { age, enabled: false } },
      },
    });
    atEnd(t, () => registry.close());
    await registry.purgeUploads();
    assert.equal(await uploads(), left, age);
    await registry.close();
  }
});
