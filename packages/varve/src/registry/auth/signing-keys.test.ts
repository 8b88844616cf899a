import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { temporaryRoot } from '../testing/index.ts';
import { EmbeddedTokens } from './embedded-tokens.ts';
import { SigningKeys } from './signing-keys.ts';

const silent = pino({ level: 'silent' });
const hour = 3_600_000;

test('keeps its key over a restart, private', (t) => {
  const folder = join(temporaryRoot(t), 'keys');
  const open = (): SigningKeys => new SigningKeys(folder, { rotationMs: hour, keepMs: hour }, silent);
  const { id } = open().current();
  const file = join(folder, 'keys.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  chmodSync(file, 0o644);
  assert.equal(open().current().id, id);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, '{"keys": [{}]}');
  assert.throws(open, { code: 'KEY_INVALID' });
});

test('publishes a key before it signs, and believes an old one until its last token has ended', async (t) => {
  const folder = temporaryRoot(t);
  const started = Date.now();
  let now = started;
  const keys = new SigningKeys(folder, { rotationMs: 10 * hour, keepMs: 5 * hour, now: () => now }, silent);
  const tokens = new EmbeddedTokens(keys, { issuer: 'i', service: 's', lifetime: 300, refreshLifetime: 300 });
  const holder = { kind: 'user', name: 'alice', groups: [], via: 'htpasswd' } as const;
  const first = keys.current().id;
  const token = await tokens.issue(holder, []);
  const published = (): (string | undefined)[] => keys.jwks().keys.map(({ kid }) => kid);
  assert.deepEqual(published(), [first]);
  now = started + 10 * hour;
  assert.equal(keys.current().id, first, 'the next one is only published');
  const [, second] = published();
  assert.equal(published().length, 2);
  now += hour;
  assert.equal(keys.current().id, second);
  assert.equal((await tokens.verify(token)).identity.name, 'alice');
  now = started + 20 * hour;
  keys.current();
  now += hour;
  assert.deepEqual(published().includes(first), false);
  await assert.rejects(tokens.verify(token), { message: 'no trusted key has the name of the token’s' });
  assert.ok(!JSON.stringify(keys.jwks()).includes('"d"'));
});

test('finds the key that another node of the same folder made', async (t) => {
  const folder = temporaryRoot(t);
  const started = Date.now();
  let now = started;
  const options = { rotationMs: hour, keepMs: hour, now: () => now };
  const one = new SigningKeys(folder, options, silent);
  const two = new SigningKeys(folder, options, silent);
  assert.equal(two.current().id, one.current().id);
  now += 2 * hour;
  one.current();
  now += hour / 2;
  const made = one.current().id;
  assert.ok(two.find(made));
  assert.equal(two.current().id, made);
  assert.equal(two.find('../../etc/passwd'), undefined);
  assert.equal(
    (JSON.parse(readFileSync(join(folder, 'keys.json'), 'utf8')) as { keys: unknown[] }).keys.length,
    2,
  );
});
