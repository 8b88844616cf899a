import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { referencePages } from './reference.ts';

for (const [name, text] of Object.entries(referencePages())) {
  test(`docs/reference/${name} says what the code does`, () => {
    const kept = readFileSync(resolve(import.meta.dirname, '../docs/reference', name), 'utf8');
    assert.ok(kept === text, 'out of date: run `node scripts/reference.ts`');
  });
}
