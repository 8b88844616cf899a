import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
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
