import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { pino } from 'pino';
import { eventually, temporaryRoot } from '../testing/index.ts';
import { Htpasswd, parseHtpasswd } from './htpasswd.ts';

const silent = pino({ level: 'silent' });
const hash = (password: string): string => bcrypt.hashSync(password, 4);

test('takes bcrypt in its three spellings, and says which lines it cannot use', () => {
  const text = [
    '# users',
    `a:${hash('x')}`,
    `b:${hash('x').replace('$2b$', '$2y$')}`,
    `c:${hash('x').replace('$2b$', '$2a$')}`,
    '',
    'md5:$apr1$abcdefgh$0123456789012345678901',
    'sha:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=',
    'plain:secret',
    `slow:${hash('x').replace('$04$', '$20$')}`,
    'nothing',
    ':x',
  ].join('\r\n');
  const { hashes, problems } = parseHtpasswd(text);
  assert.deepEqual([...hashes.keys()], ['a', 'b', 'c']);
  assert.deepEqual(
    problems.map((problem) => problem.replace(/:.*| is not .*/, '')),
    ['line 6', 'line 7', 'line 8', 'line 9', 'line 10', 'line 11'],
  );
  assert.ok(problems.every((problem) => !problem.includes('secret')));
});

test('reads a changed file again, and keeps its users when it goes', async (t) => {
  const path = join(temporaryRoot(t), 'htpasswd');
  writeFileSync(path, `alice:${hash('one')}\n`);
  const users = new Htpasswd(path, silent);
  const before = users.fingerprint('alice');
  assert.equal(users.has('bob'), false);
  writeFileSync(`${path}.new`, `alice:${hash('two')}\nbob:${hash('x')}\n`);
  renameSync(`${path}.new`, path);
  await eventually(() => users.has('bob'), 'the file is read again');
  assert.notEqual(users.fingerprint('alice'), before);
  const { generation } = users;
  rmSync(path);
  await eventually(() => users.has('bob') && users.generation === generation, 'the users stay');
  assert.throws(() => new Htpasswd(path, silent), { code: 'HTPASSWD_UNREADABLE' });
});

test('compares an unknown user with a hash of the same cost', async (t) => {
  const path = join(temporaryRoot(t), 'htpasswd');
  writeFileSync(path, `alice:${bcrypt.hashSync('x', 6)}\n`);
  const decoy = new Htpasswd(path, silent).hash('nobody');
  assert.match(decoy, /^\$2b\$06\$/);
  assert.equal(await bcrypt.compare('', decoy), false);
});
