import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { BuildBench } from './testing/build-bench.ts';

const content = 'remote content';
const sha256 = createHash('sha256').update(content).digest('hex');

/** A server on loopback that knows one file. */
async function serve(): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    if (request.url !== '/dir/file.txt') response.writeHead(404).end();
    else response.setHeader('last-modified', 'Thu, 01 Jan 2015 00:00:00 GMT').end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

test('ADD fetches a URL: name, mode, time and checksum', async () => {
  await using bench = await BuildBench.open();
  await using server = await serve();
  const url = `${server.url}/dir/file.txt`;
  const dockerfile = `FROM base\nADD ${url} /got/\nADD --checksum=sha256:${sha256} --chmod=755 ${url} /tool\n`;
  const { image } = await bench.build(dockerfile);
  await bench.inspect(image, (root) => {
    const file = lstatSync(join(root, 'got/file.txt'));
    assert.deepEqual([file.mode & 0o777, file.mtime.toISOString()], [0o600, '2015-01-01T00:00:00.000Z']);
    assert.equal(readFileSync(join(root, 'tool'), 'utf8'), content);
    assert.equal(lstatSync(join(root, 'tool')).mode & 0o777, 0o755);
  });
  assert.deepEqual((await bench.run()).cache, [true, true]);
});

test('ADD refuses another checksum, a missing file and a git repository', async () => {
  await using bench = await BuildBench.open();
  await using server = await serve();
  const url = `${server.url}/dir/file.txt`;
  const add = (rest: string): Promise<unknown> => bench.build(`FROM base\nADD ${rest} /x\n`);
  await assert.rejects(add(`--checksum=sha256:${'0'.repeat(64)} ${url}`), { code: 'DIGEST_MISMATCH' });
  await assert.rejects(add(`--checksum=md5:0 ${url}`), { code: 'INVALID_CHECKSUM' });
  await assert.rejects(add(`${server.url}/none`), {
    code: 'ADD_FETCH_FAILED',
    data: { line: 2, endLine: 2 },
  });
  await assert.rejects(add('git@example.org:a/b.git'), { code: 'ADD_GIT' });
});
