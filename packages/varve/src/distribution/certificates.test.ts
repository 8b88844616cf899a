import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { certificateFolder } from './certificates.ts';

test("reads authorities and client certificates from Docker's folder", (context) => {
  const root = mkdtempSync('/var/tmp/varve-certs-');
  context.after(() => rmSync(root, { recursive: true }));
  for (const [name, content] of Object.entries({
    'a:5000/ca.crt': 'one',
    'a:5000/b.crt': 'two',
    'b/x.cert': 'cert',
    'b/x.key': 'key',
    'c/x.cert': 'cert',
  })) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  const find = certificateFolder(root);
  assert.deepEqual(find('a:5000'), { ca: [Buffer.from('two'), Buffer.from('one')] });
  assert.deepEqual(find('b'), { cert: Buffer.from('cert'), key: Buffer.from('key') });
  assert.throws(() => find('c'), { code: 'CERTIFICATE_UNREADABLE' });
  for (const host of ['none', '..', '../b', 'a:5000/../b']) assert.equal(find(host), undefined, host);
});
