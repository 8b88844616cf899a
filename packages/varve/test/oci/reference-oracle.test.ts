import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { mapLimit } from '../../src/base/index.ts';
import { parseReference } from '../../src/oci/index.ts';

const docker = ['/usr/local/bin/docker', '/usr/bin/docker'].find((path) => existsSync(path)) ?? '';
const hex = '0123456789abcdef'.repeat(4);
const names: readonly string[] = [
  'app',
  'app:1',
  'a/b',
  'a/b/c',
  'a.b/c',
  'a_b/c',
  'a__b',
  'a___b',
  'a._b',
  'a-b',
  'a--b',
  'a-',
  '_a',
  '.a',
  'a.',
  'a..b',

  'localhost/a',
  'localhost:1/a',
  'localhost:/a',
  'LOCALHOST/a',
  'Host/a',
  'Host/A',
  'host:5000/a',
  'host:5000',
  'host.com/a/b:c',

  '[::1]/a',
  '[::1]:5/a',
  '[::g]/a',
  '[::1/a',
  '127.0.0.1/a',
  '1.2.3.4:99999/a',
  'docker.io/a',
  'docker.io/a/b',
  'index.docker.io/a',

  'docker.io',
  'docker.io/',
  '/a',
  'a/',
  'a//b',
  'a/./b',
  'a/../b',
  'A',
  'a/B',
  'aB:tag',
  'a:Tag',
  'a:',
  'a:.x',
  'a:_x',
  'a:x y',
  'a:x/y',

  `a:${'t'.repeat(128)}`,
  `a:${'t'.repeat(129)}`,
  'z'.repeat(247),
  'z'.repeat(248),
  `h.io/${'z'.repeat(255)}`,
  `h.io/${'z'.repeat(256)}`,

  hex,
  `a${hex}`,
  `a@sha256:${hex}`,
  `a:1@sha256:${hex}`,
  `a@sha256:${hex}0`,
  `a@sha256:${hex.slice(2)}`,
  `a@sha256:${hex.slice(40)}`,

  `a@sha256:${hex.toUpperCase()}`,
  `a@md5:${hex.slice(32)}`,
  `a@sha512:${hex}${hex}`,
  'a@',
  'a@b',
  `@sha256:${hex}`,
  'ä',
  'a b',
  'a\tb',

  'xn--n3h.com/a',
  'a-.com/b',
  '-a.com/b',
  'http://a/b',
  'a:1:2',
  'a/b:1/c',
];

/** What the docker command says of a name before it asks the engine; undefined when the name is fine. */
async function ask(name: string): Promise<string | undefined> {
  return await new Promise((resolve) => {
    execFile(docker, ['-H', 'unix:///nonexistent', 'pull', '-q', '--', name], (_error, _stdout, stderr) => {
      const text = stderr.trim();
      resolve(text.startsWith('Cannot connect') ? undefined : text);
    });
  });
}

function ours(name: string): string | undefined {
  try {
    parseReference(name);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test('reads and refuses names as the docker command does', {
  skip: docker === '' ? 'the docker command is not installed' : false,
}, async () => {
  const answers = await mapLimit(names, 4, ask);
  const differences = names.flatMap((name, index) => {
    const found = ours(name);
    return found === answers[index]
      ? []
      : [`${JSON.stringify(name)}: docker says ${answers[index]}, we say ${found}`];
  });
  assert.deepEqual(differences, []);
});
