import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../oci/index.ts';
import { SqliteMetadata } from '../metadata/index.ts';
import { limitsOf, Quota } from './index.ts';

const rules = [
  { repository: 'team/big', bytes: '1MiB' },
  { repository: '**', bytes: '100B' },
  { namespace: '*', bytes: '150B' },
];

test('gives a repository its first rule, and each namespace it is in', () => {
  assert.deepEqual(limitsOf(rules, 'team/app'), [
    { scope: 'repository', name: 'team/app', bytes: 100 },
    { scope: 'namespace', name: 'team', bytes: 150 },
  ]);
  assert.equal(limitsOf(rules, 'team/big')[0]?.bytes, 1024 ** 2);
});

test('counts blobs of a repository once, and of a namespace once in each repository', async () => {
  const metadata = new SqliteMetadata(':memory:');
  const blob = { digest: digestOf('b'), size: 40 };
  await metadata.addBlob('team/a', blob);
  await metadata.addBlob('team/a', blob);
  await metadata.linkBlob('team/b', blob.digest);
  await metadata.addBlob('teammates', { digest: digestOf('c'), size: 7 });
  assert.equal(metadata.usedBytes('repository', 'team/a'), 40);
  assert.equal(metadata.usedBytes('namespace', 'team'), 80);
  assert.equal(await metadata.removeBlob('team/a', blob.digest), 'deleted');
  assert.equal(metadata.usedBytes('namespace', 'team'), 40);
  metadata.close();
});

test('refuses in the transaction what goes over a limit, and leaves nothing of it', async () => {
  const metadata = new SqliteMetadata(':memory:');
  const limits = limitsOf(rules, 'team/a');
  await metadata.addBlob('team/a', { digest: digestOf('a'), size: 90 }, { limits });
  const over = { digest: digestOf('b'), size: 20 };
  await assert.rejects(metadata.addBlob('team/a', over, { limits }), {
    code: 'DENIED',
    message: /quota of repository team\/a exceeded: 90B of 100B are used, and this needs 20B more/,
  });
  assert.equal(metadata.blob('team/a', over.digest), undefined);
  // What is there already costs nothing again, also where the limit was lowered since.
  await metadata.addBlob(
    'team/a',
    { digest: digestOf('a'), size: 90 },
    {
      limits: [{ scope: 'repository', name: 'team/a', bytes: 1 }],
    },
  );
  await assert.rejects(
    metadata.addBlob('team/b', { digest: digestOf('c'), size: 70 }, { limits: limitsOf(rules, 'team/b') }),
    { code: 'DENIED', message: /namespace team/ },
  );
  metadata.close();
});

test('reserves for uploads, so that two do not both get the last bytes', async () => {
  const metadata = new SqliteMetadata(':memory:');
  const quota = new Quota(rules, metadata);
  const first = quota.reservation('team/a');
  const second = quota.reservation('team/a');
  const results = await Promise.allSettled([first.atLeast(60), second.atLeast(60)]);
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length <= 1, true);
  first.release();
  second.release();
  assert.equal(quota.reserved({ scope: 'repository', name: 'team/a' }), 0);
  await second.atLeast(100);
  await assert.rejects(first.atLeast(1), { code: 'DENIED' });
  second.release();
  await first.atLeast(1);
  metadata.close();
});

test('stops a stream of unknown length at the limit', async () => {
  const metadata = new SqliteMetadata(':memory:');
  const reservation = new Quota(rules, metadata).reservation('team/a');
  let passed = 0;
  const chunks = (async function* () {
    for (;;) yield Buffer.alloc(30);
  })();
  await assert.rejects(
    async () => {
      for await (const chunk of reservation.through(chunks, 0)) passed += chunk.length;
    },
    { code: 'DENIED' },
  );
  assert.equal(passed, 90);
  metadata.close();
});
