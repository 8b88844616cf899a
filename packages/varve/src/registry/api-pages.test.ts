import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { digestOf, mediaTypes } from '../oci/index.ts';
import {
  type Answer,
  encode,
  imageManifest,
  indexManifest,
  startTestRegistry,
  type TestClient,
  type TestRegistry,
  temporaryRoot,
} from './testing/index.ts';

const basic = { Authorization: `Basic ${Buffer.from('alice:wonderland').toString('base64')}` };

function page(client: TestClient, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return client.call('GET', path, { headers: { accept: 'text/html', ...headers } });
}

/** What a browser sends with a form of this very site. */
function sameSite(client: TestClient): Record<string, string> {
  return {
    Origin: client.url,
    'Sec-Fetch-Site': 'same-origin',
    'Content-Type': 'application/x-www-form-urlencoded',
  };
}

function hidden(answer: Answer, name: string): string {
  // The last: the header has a form, too.
  return (
    [...answer.body.toString().matchAll(new RegExp(`name="${name}" value="([^"]*)"`, 'g'))].at(-1)?.[1] ?? ''
  );
}

/** The confirmation's form, as a browser would send it. */
async function deleteForm(
  client: TestClient,
  path: string,
  headers: Record<string, string> = {},
): Promise<string> {
  const asked = await page(client, `${path}?confirm=delete`, headers);
  assert.equal(asked.status, 200, asked.body.toString());
  return `action=delete&digest=${hidden(asked, 'digest')}&token=${hidden(asked, 'token')}`;
}

async function governed(t: TestContext): Promise<TestRegistry & { readonly htpasswd: string }> {
  const root = temporaryRoot(t);
  const htpasswd = join(root, 'htpasswd');
  writeUsers(htpasswd, 'wonderland');
  const registry = await startTestRegistry(t, {
    auth: {
      htpasswd: { path: htpasswd },
      rules: [
        { who: ['everyone'], repositories: ['public/**'], actions: ['pull'] },
        { who: ['user:alice'], repositories: ['**'], actions: ['*'] },
        { who: ['user:bob'], repositories: ['team/**'], actions: ['pull'] },
      ],
    },
  });
  return Object.assign(registry, { htpasswd });
}

function writeUsers(path: string, password: string): void {
  const lines = ['alice', 'bob'].map((user) => `${user}:${bcrypt.hashSync(password, 4)}`);
  writeFileSync(path, `${lines.join('\n')}\n`);
}

async function logIn(registry: TestRegistry, user = 'alice'): Promise<Record<string, string>> {
  const answer = await registry.call('POST', '/ui/login', {
    headers: sameSite(registry),
    body: `user=${user}&password=wonderland`,
  });
  assert.equal(answer.status, 303, answer.body.toString());
  return { Cookie: String(answer.headers['set-cookie']).split(';', 1)[0] ?? '' };
}

async function pushAs(registry: TestRegistry, repository: string, tag: string): Promise<void> {
  const manifest = encode(indexManifest([]));
  const answer = await registry.call('PUT', `/v2/${repository}/manifests/${tag}`, {
    body: manifest,
    headers: { 'Content-Type': mediaTypes.ociIndex, ...basic },
  });
  assert.equal(answer.status, 201, answer.body.toString());
}

test('leads browsers to the pages, and no other client', async (t) => {
  const registry = await startTestRegistry(t);
  const answer = await page(registry, '/');
  assert.deepEqual([answer.status, answer.headers.location], [302, '/ui/']);
  const other = await registry.call('GET', '/');
  assert.deepEqual([other.status, other.codes()], [404, ['NAME_UNKNOWN']]);
});

test('a page loads nothing from elsewhere, runs nothing, and is framed by nobody', async (t) => {
  const registry = await startTestRegistry(t);
  for (const path of ['/ui/', '/ui/nothing', '/ui/login', '/ui/style.css']) {
    const { headers } = await page(registry, path);
    assert.match(
      String(headers['content-security-policy']),
      /default-src 'none'; style-src 'self';.*frame-ancestors 'none'/,
    );
    assert.doesNotMatch(String(headers['content-security-policy']), /unsafe|script-src/);
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['x-content-type-options'], 'nosniff');
  }
});

test('there are none where they are turned off', async (t) => {
  const registry = await startTestRegistry(t, { ui: { enabled: false } });
  for (const path of ['/', '/ui/', '/ui/style.css'])
    assert.equal((await page(registry, path)).status, 404, path);
});

test('shows broken and hostile manifests as what they are', async (t) => {
  const registry = await startTestRegistry(t);
  const config = await registry.pushBlob('app', Buffer.from('{"os": 1}'), mediaTypes.ociConfig);
  await registry.putManifest('app', 'broken', encode(imageManifest(config, [])));
  await registry.putManifest('app', 'other', Buffer.from('<b>'), 'text/html');
  const large = await registry.pushBlob('app', Buffer.alloc(2 * 1024 * 1024), mediaTypes.ociConfig);
  await registry.putManifest('app', 'large', encode(imageManifest(large, [])));
  const texts: Record<string, RegExp> = {
    broken: /invalid image config/,
    other: /This manifest cannot be shown/,
    large: /its config is too large to be shown/,
  };
  for (const [tag, text] of Object.entries(texts)) {
    const answer = await page(registry, `/ui/r/app/tags/${tag}`);
    assert.equal(answer.status, 200);
    assert.match(answer.body.toString(), text);
    assert.doesNotMatch(answer.body.toString(), /<b>/);
  }
  assert.equal((await page(registry, '/ui/r/app')).status, 200);
});

test('says of a manifest only that it is not here when it looked for it', async (t) => {
  const registry = await startTestRegistry(t);
  const image = await registry.pushImage('app', 'v1', 'one');
  const child = { mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length };
  const absent = Array.from({ length: 300 }, (_, index) => ({ ...child, digest: digestOf(`${index}`) }));
  await registry.putManifest(
    'app',
    'few',
    encode(indexManifest([child, ...absent.slice(0, 3)])),
    mediaTypes.ociIndex,
  );
  await registry.putManifest('app', 'many', encode(indexManifest([...absent, child])), mediaTypes.ociIndex);
  const missing = async (tag: string): Promise<number> =>
    (await page(registry, `/ui/r/app/tags/${tag}`)).body.toString().split('not here').length - 1;
  assert.equal(await missing('few'), 3);
  assert.ok((await missing('many')) < 200);
});

test('shows nobody what they may not see, and says the same of what is not there', async (t) => {
  const registry = await governed(t);
  await pushAs(registry, 'team/app', 'v1');
  await pushAs(registry, 'public/app', 'v1');
  const list = await page(registry, '/ui/');
  assert.match(list.body.toString(), /public\//);
  assert.doesNotMatch(list.body.toString(), /team/);
  assert.doesNotMatch((await page(registry, '/ui/search?q=app')).body.toString(), /team/);
  for (const path of ['/ui/r/team/app', '/ui/r/team/none', '/ui/r/team/app/tags/v1']) {
    const answer = await page(registry, path);
    assert.deepEqual(
      [answer.status, answer.headers.location],
      [303, `/ui/login?next=${encodeURIComponent(path)}`],
    );
  }
  const bob = await logIn(registry, 'bob');
  assert.match((await page(registry, '/ui/n/team', bob)).body.toString(), /team\/app/);
  assert.equal((await page(registry, '/ui/r/secret/x', bob)).status, 403);
  const shown = await page(registry, '/ui/r/team/app/tags/v1', bob);
  assert.doesNotMatch(shown.body.toString(), /Delete this tag/);
  assert.equal((await page(registry, '/ui/r/team/app/tags/v1?confirm=delete', bob)).status, 403);
});

test('a session is good for the pages only, and ends with a logout or another password', async (t) => {
  const registry = await governed(t);
  await pushAs(registry, 'team/app', 'v1');
  const alice = await logIn(registry);
  assert.equal((await page(registry, '/ui/r/team/app', alice)).status, 200);
  assert.equal((await registry.call('GET', '/v2/team/app/tags/list', { headers: alice })).status, 401);
  const token = hidden(await page(registry, '/ui/', alice), 'token');
  const out = { headers: { ...sameSite(registry), ...alice }, body: `token=${token}` };
  assert.equal((await registry.call('GET', '/ui/logout', { headers: alice })).status, 303);
  assert.equal((await page(registry, '/ui/r/team/app', alice)).status, 200, 'a link does not log out');
  assert.equal((await registry.call('POST', '/ui/logout', out)).status, 303);
  assert.equal((await page(registry, '/ui/r/team/app', alice)).status, 303);

  const again = await logIn(registry);
  writeUsers(registry.htpasswd, 'looking-glass');
  const deadline = Date.now() + 10_000;
  while ((await page(registry, '/ui/r/team/app', again)).status !== 303) {
    assert.ok(Date.now() < deadline, 'the session outlives its password');
  }
});

test('slows down who guesses passwords', async (t) => {
  const registry = await governed(t);
  const guess = { headers: sameSite(registry), body: 'user=alice&password=wrong' };
  const statuses: number[] = [];
  for (let count = 0; count < 7; count++)
    statuses.push((await registry.call('POST', '/ui/login', guess)).status);
  assert.deepEqual([statuses[0], statuses.at(-1)], [403, 429]);
});

test('refuses a form that another site sent, or that was not given out for this', async (t) => {
  const registry = await governed(t);
  await pushAs(registry, 'team/app', 'v1');
  await pushAs(registry, 'team/app', 'v2');
  const alice = await logIn(registry);
  const path = '/ui/r/team/app/tags/v1';
  const body = await deleteForm(registry, path, alice);
  const own = { ...sameSite(registry), ...alice };
  const { Origin: _o, 'Sec-Fetch-Site': _s, ...silent } = own;
  const attempts: readonly (readonly [string, Record<string, string>, string])[] = [
    ['another origin', { ...own, Origin: 'http://evil.example' }, body],
    ['an opaque origin', { ...own, Origin: 'null' }, body],
    ['another site', { ...own, 'Sec-Fetch-Site': 'cross-site' }, body],
    ['another port of this host', { ...own, 'Sec-Fetch-Site': 'same-site' }, body],
    ['no word of where it comes from', silent, body],
    ['no token', own, body.replace(/&token=.*/, '')],
    ['the token of another tag', own, await deleteForm(registry, '/ui/r/team/app/tags/v2', alice)],
    ['the token of another session', { ...own, ...(await logIn(registry)) }, body],
    ['nobody’s', { ...sameSite(registry) }, body],
  ];
  for (const [what, headers, form] of attempts) {
    const answer = await registry.call('POST', path, { headers, body: form });
    assert.equal(answer.status, 403, `${what}: ${answer.body.toString()}`);
  }
  assert.equal((await page(registry, `${path}?confirm=delete&action=delete`, alice)).status, 200);
  assert.equal((await page(registry, path, alice)).status, 200, 'it is still there');
  const done = await registry.call('POST', path, { headers: own, body });
  assert.deepEqual([done.status, done.headers.location], [303, '/ui/r/team/app']);
  assert.equal((await page(registry, path, alice)).status, 404);
});

test('deletes what was asked about, and not what the tag points at by now', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushImage('app', 'v1', 'one');
  const path = '/ui/r/app/tags/v1';
  const body = await deleteForm(registry, path);
  await registry.pushImage('app', 'v1', 'two');
  const late = await registry.call('POST', path, { headers: sameSite(registry), body });
  assert.equal(late.status, 409);
  const { digest } = await registry.pushImage('app', 'v1', 'two');
  const manifest = `/ui/r/app/manifests/${digest}`;
  const form = await deleteForm(registry, manifest);
  assert.equal(
    (await registry.call('POST', manifest, { headers: sameSite(registry), body: form })).status,
    303,
  );
  assert.equal((await page(registry, path)).status, 404, 'its tag went with it');
});

test('an open registry takes no form for a host that is a name', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushImage('app', 'v1', 'one');
  const body = await deleteForm(registry, '/ui/r/app/tags/v1');
  const rebound = { ...sameSite(registry), Host: 'evil.example', Origin: 'http://evil.example' };
  const answer = await registry.call('POST', '/ui/r/app/tags/v1', { headers: rebound, body });
  assert.equal(answer.status, 403);
  assert.match(answer.body.toString(), /localhost or an address only/);
});

test('offers no delete where it is off, or of an immutable tag', async (t) => {
  const registry = await startTestRegistry(t, {
    tags: { immutable: [{ repositories: '**', tags: ['v*'] }] },
  });
  await registry.pushImage('app', 'v1', 'one');
  const shown = await page(registry, '/ui/r/app/tags/v1');
  assert.match(shown.body.toString(), /This tag is immutable: it cannot be deleted/);
  const asked = await page(registry, '/ui/r/app/tags/v1?confirm=delete');
  assert.match(asked.body.toString(), /immutable/);
  assert.doesNotMatch(asked.body.toString(), /method="post"/);

  const off = await startTestRegistry(t, { storage: { delete: { enabled: false } } });
  await off.pushImage('app', 'v1', 'one');
  assert.doesNotMatch((await page(off, '/ui/r/app/tags/v1')).body.toString(), /Delete/);
  assert.equal((await page(off, '/ui/r/app/tags/v1?confirm=delete')).status, 405);
});

test('pages through tags, and finds some of them', async (t) => {
  const registry = await startTestRegistry(t);
  const tags = Array.from({ length: 60 }, (_, index) => `t${100 + index}`);
  const { bytes } = await registry.pushImage('app', 'first', 'one');
  for (const tag of tags) await registry.putManifest('app', tag, bytes);
  const first = (await page(registry, '/ui/r/app')).body.toString();
  assert.equal(first.match(/<tr><th scope="row">/g)?.length, 50);
  const next = /rel="next" href="([^"]*)"/.exec(first)?.[1] ?? '';
  const second = (await page(registry, next)).body.toString();
  assert.equal(second.match(/<tr><th scope="row">/g)?.length, 11);
  assert.doesNotMatch(second, /rel="next"/);
  const found = (await page(registry, '/ui/r/app?q=T15')).body.toString();
  assert.equal(found.match(/<tr><th scope="row">/g)?.length, 10);
});
