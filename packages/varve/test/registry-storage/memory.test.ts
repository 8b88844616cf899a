import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

// Takes everything and keeps nothing.
const sink = createServer((request, response) => {
  request.resume().once('end', () => response.writeHead(200, { ETag: '"sink"' }).end());
});
let url = '';

before(async () => {
  await new Promise<void>((resolve) => {
    sink.listen(0, '127.0.0.1', resolve);
  });
  url = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
});
after(() => {
  sink.closeAllConnections();
  sink.close();
});

/* Measured: 30 MiB with one upload, 210 with 64: two chunks of each, the requests, and what the collector has not come to. */
for (const [uploads, limitMebibytes] of [
  [1, 110],
  [64, 320],
] as const) {
  test(`1 GiB in ${uploads} at once goes through in ${limitMebibytes} MiB of memory`, async () => {
    const program = join(import.meta.dirname, 'stream-gibibyte.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [program, url, `${uploads}`]);
    const grown = Number.parseInt(stdout, 10);
    assert.ok(grown < limitMebibytes, `grew by ${grown} MiB`);
  });
}
