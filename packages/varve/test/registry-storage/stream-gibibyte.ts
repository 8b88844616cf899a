/** Streams 1 GiB into uploads of S3 storage at a URL, in so many at once, and prints by how many MiB it grew: `stream-gibibyte.ts <url> <uploads>`. */
import { randomBytes, randomUUID } from 'node:crypto';
import { s3Block } from '../../src/registry/config/storage-backends-block.ts';
import { freeChunk } from '../../src/registry/http/body-chunks.ts';
import { openS3Storage } from '../../src/registry/storage/s3/index.ts';

const [regionendpoint, count = '1'] = process.argv.slice(2);
const uploads = Number(count);
const storage = openS3Storage(
  s3Block.parse({ accesskey: 'a', secretkey: 's', bucket: 'sink', regionendpoint }),
);
const piece = randomBytes(65_536);

async function* bytes(total: number): AsyncGenerator<Uint8Array, void, void> {
  // As a socket gives them: a buffer each.
  for (let sent = 0; sent < total; sent += piece.length) yield Buffer.from(piece);
}

const write = async (total: number): Promise<void> => {
  const session = await storage.create(randomUUID(), 'note');
  await session.append(bytes(total), { release: freeChunk });
};
await write(32 * 1024 * 1024);
const before = process.memoryUsage().rss;
let most = before;
const timer = setInterval(() => {
  most = Math.max(most, process.memoryUsage().rss);
}, 20);
await Promise.all(Array.from({ length: uploads }, () => write(1024 ** 3 / uploads)));
clearInterval(timer);
console.log(Math.round((most - before) / 1024 / 1024), Math.round(most / 1024 / 1024));
