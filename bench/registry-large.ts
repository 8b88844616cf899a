import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { median } from './harness.ts';
import { type Fact, fact } from './registry-facts.ts';
import { expect, type Target } from './registry-target.ts';
import { Wire } from './wire.ts';

const mebibyte = 1024 * 1024;
const goal = 0.9;

/** Answers every request from memory with nothing but node: `/N` with N bytes. What loopback and the load allow. */
export function serveFloor(port: number): void {
  const piece = randomBytes(mebibyte / 4);
  createServer({ noDelay: true }, (request, response) => {
    const size = Number(request.url?.slice(1)) || 0;
    response.writeHead(200, ['Content-Type', 'application/octet-stream', 'Content-Length', String(size)]);
    let sent = 0;
    const more = (): void => {
      while (sent < size) {
        const bytes = piece.subarray(0, Math.min(piece.length, size - sent));
        sent += bytes.length;
        if (!response.write(bytes)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  }).listen(port, '127.0.0.1');
}

/** Pulls one large blob with a client that hashes it, from each registry and from memory in turn. */
export async function measureLarge(
  { own, peer, floor }: { readonly own: Target; readonly peer: Target; readonly floor: Target },
  { mebibytes, rounds }: { readonly mebibytes: number; readonly rounds: number },
): Promise<Fact[]> {
  const size = mebibytes * mebibyte;
  const digest = await pushLarge(own, size);
  await pushLarge(peer, size);
  const path = `/v2/bench/large/blobs/${digest}`;
  const places = [
    { target: own, path },
    { target: peer, path },
    { target: floor, path: `/${size}` },
  ];
  const times = places.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [place, { target, path: from }] of places.entries()) {
      const seconds = await pullAndHash(target.port, from, size);
      if (round >= 0) times[place]?.push(seconds);
    }
  }
  const [ours = 1, theirs = 1, least = 1] = times.map((seconds) => mebibytes / median(seconds));
  const speed = (value: number): string => `${value.toFixed(0)} MiB/s`;
  return [
    fact(
      `pull and hash one blob of ${mebibytes} MiB`,
      `${speed(ours)}; docker-registry ${speed(theirs)}; from the memory of a bare node:http ${speed(least)}, of which ours is ${(ours / least).toFixed(2)}`,
      `≥ ${goal} of the last`,
      ours / least >= goal,
    ),
  ];
}

/** The same pseudo-random bytes for every registry. */
async function pushLarge(target: Target, size: number): Promise<string> {
  const block = Buffer.alloc(mebibyte, createHash('sha512').update('large').digest());
  const hash = createHash('sha256');
  for (let sent = 0; sent < size; sent += mebibyte) hash.update(block);
  const digest = `sha256:${hash.digest('hex')}`;
  const wire = await Wire.connect(target.port);
  const { location } = expect(await wire.send('POST', '/v2/bench/large/blobs/uploads/'), 202);
  wire.close();
  const url = new URL(location, `http://127.0.0.1:${target.port}`);
  url.searchParams.set('digest', digest);
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': String(size) },
    body: ReadableStream.from(blocks(block, size)),
    duplex: 'half',
  });
  if (answer.status !== 201) throw new Error(`${target.name} answered ${answer.status}`);
  return digest;
}

async function* blocks(block: Buffer, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let sent = 0; sent < size; sent += block.length) yield block;
}

/** Seconds. @throws Error when the body is shorter */
function pullAndHash(port: number, path: string, size: number): Promise<number> {
  const startedAt = performance.now();
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(mebibyte / 2);
  let left = -1;
  return new Promise((resolve, reject) => {
    const take = (count: number): boolean => {
      let piece = buffer.subarray(0, count);
      if (left < 0) {
        const end = piece.indexOf('\r\n\r\n');
        if (end < 0 || piece.toString('latin1', 9, 12) !== '200') {
          reject(new Error(`no good answer: ${piece.toString('latin1', 0, 100)}`));
          socket.destroy();
          return false;
        }
        piece = piece.subarray(end + 4);
        left = size;
      }
      hash.update(piece);
      left -= piece.length;
      if (left > 0) return true;
      hash.digest();
      socket.destroy();
      resolve((performance.now() - startedAt) / 1000);
      return false;
    };
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback: take } }, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: registry\r\n\r\n`),
    );
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the body ended early')));
  });
}
