import assert from 'node:assert/strict';
import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestHex } from '../oci/index.ts';
import { callControl } from './control/index.ts';
import { eventually, startTestRegistry } from './testing/index.ts';

test('a scrub hides a damaged and a missing blob, and the next push heals them', async (t) => {
  const client = await startTestRegistry(t);
  const image = await client.pushImage('app', 'v1', 'layer of app');
  const whole = await client.pushImage('app', 'v2', 'layer of v2');
  const hex = digestHex(image.layer.digest);
  const file = join(client.root, 'blobs', 'sha256', hex.slice(0, 2), hex);
  writeFileSync(file, 'layer of APP');
  const report = await client.registry.maintenance.scrub();
  assert.deepEqual(
    report.findings.map(({ digest, state }) => [digest, state]),
    [[image.layer.digest, 'damaged']],
  );
  assert.deepEqual(report.findings[0]?.concerned, [{ repository: 'app', manifest: image.digest }]);
  const path = `/v2/app/blobs/${image.layer.digest}`;
  assert.equal((await client.call('HEAD', path)).status, 404);
  assert.equal((await client.call('HEAD', `/v2/app/blobs/${whole.layer.digest}`)).status, 200);
  assert.deepEqual((await client.registry.maintenance.scrub()).findings, []);
  await client.pushBlob('app', Buffer.from('layer of app'));
  assert.equal((await client.call('GET', path)).body.toString(), 'layer of app');
  truncateSync(file, 3);
  assert.match((await client.registry.maintenance.scrub()).findings[0]?.reason ?? '', /it has 3 bytes of 12/);
  writeFileSync(file, 'layer of app');
  assert.equal((await client.registry.maintenance.scrub()).findings[0]?.state, 'healed');
  assert.equal((await client.call('GET', path)).status, 200);
});

test('a dry run says of each thing why it stays or goes, as the collection then does', async (t) => {
  const client = await startTestRegistry(t);
  const kept = await client.pushImage('app', 'v1', 'kept');
  const gone = await client.pushImage('app', 'v2', 'gone');
  await client.pushBlob('other', Buffer.from('kept'));
  await client.call('DELETE', '/v2/app/manifests/v2');
  const options = { graceMs: 0, untagged: true, full: true };
  const lines = [];
  for await (const item of client.registry.maintenance.plan(options)) {
    lines.push(
      `${item.keep ? 'keep' : 'remove'} ${item.kind} ${item.repository} ${item.digest}: ${item.reason}`,
    );
  }
  assert.ok(lines.includes(`keep manifest app ${kept.digest}: tag v1 points at it`), lines.join('\n'));
  assert.ok(lines.includes(`remove manifest app ${gone.digest}: no tag, index or subject leads to it`));
  assert.ok(lines.includes(`keep link app ${kept.layer.digest}: manifest ${kept.digest} names it`));
  assert.ok(lines.includes(`remove link app ${gone.layer.digest}: no manifest of the repository names it`));
  assert.ok(lines.includes(`remove blob  ${gone.layer.digest}: no repository has it`));
  assert.ok(lines.includes(`remove link other ${kept.layer.digest}: no manifest of the repository names it`));
  assert.ok(lines.includes(`keep blob  ${kept.layer.digest}: repository app has it`));
  const removals = lines.filter((line) => line.startsWith('remove blob')).length;
  const report = await client.registry.collectGarbage(options);
  assert.deepEqual([report.blobs.length, report.links, report.manifests], [removals, 3, 1]);
});

test('the control socket is for its own account, and streams what is found', async (t) => {
  const client = await startTestRegistry(t);
  await client.pushBlob('app', Buffer.from('loose'));
  const socket = join(client.root, 'control.sock');
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  const ask = async (path: '/collect' | '/usage' | '/scrub', query = {}): Promise<object[]> => {
    const items = [];
    for await (const item of callControl(socket, path, query)) items.push(item);
    return items;
  };
  assert.deepEqual(await ask('/usage'), [{ repository: 'app', bytes: 5, limits: [] }, { done: {} }]);
  assert.deepEqual(await ask('/scrub'), [{ done: { blobs: 1, bytes: 5 } }]);
  const plan = (await ask('/collect', { 'dry-run': 'true', grace: '0s' })) as { readonly keep?: boolean }[];
  assert.deepEqual(
    plan.map(({ keep }) => keep),
    [false, false, undefined],
  );
  const [result] = (await ask('/collect', { grace: '0s' })) as {
    readonly done: { readonly bytes: number };
  }[];
  assert.equal(result?.done.bytes, 5);
  await assert.rejects(ask('/collect', { grace: 'soon' }), { code: 'INVALID_DURATION' });
  await client.registry.close();
  await assert.rejects(ask('/usage'), { code: 'NO_REGISTRY' });
});

test('records that are lost are made again from storage, while requests are served', async (t) => {
  const first = await startTestRegistry(t);
  const image = await first.pushImage('team/app', 'v1', 'content');
  await first.pushImage('team/app', 'gone', 'gone');
  await first.call('DELETE', '/v2/team/app/manifests/gone');
  await first.registry.maintenance.copyRecords();
  await first.registry.close();
  for (const name of ['registry.db', 'registry.db-wal', 'registry.db-shm'])
    rmSync(join(first.root, name), { force: true });

  const second = await startTestRegistry(t, {}, { root: first.root });
  await eventually(
    async () => (await second.call('HEAD', '/v2/team/app/manifests/v1')).status === 200,
    'the tag is back',
  );
  const manifest = await second.call('GET', '/v2/team/app/manifests/v1');
  assert.equal(manifest.headers['docker-content-digest'], image.digest);
  assert.equal(
    (await second.call('GET', `/v2/team/app/blobs/${image.layer.digest}`)).body.toString(),
    'content',
  );
  assert.equal((await second.call('HEAD', '/v2/team/app/manifests/gone')).status, 404);
  assert.deepEqual((await second.registry.maintenance.rebuild()).refused, []);
});

test('a manifest whose blob is not in storage is not made again, and said to be missing', async (t) => {
  const first = await startTestRegistry(t);
  const image = await first.pushImage('app', 'v1', 'content');
  await first.registry.maintenance.copyRecords();
  await first.registry.close();
  rmSync(join(first.root, 'registry.db'), { force: true });
  const hex = digestHex(image.layer.digest);
  rmSync(join(first.root, 'blobs', 'sha256', hex.slice(0, 2), hex));
  const second = await startTestRegistry(t, {}, { root: first.root });
  const { refused } = await second.registry.maintenance.rebuild();
  assert.deepEqual(
    refused.map(({ name }) => name),
    [`app@${image.digest}`, 'app:v1'],
  );
  assert.equal((await second.call('HEAD', '/v2/app/manifests/v1')).status, 404);
});
