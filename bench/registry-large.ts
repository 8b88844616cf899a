import { createHash, randomBytes } from 'node:crypto';
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { median } from './harness.ts';
import { type Fact, fact } from './registry-facts.ts';
import { expect, type Target } from './registry-target.ts';
import { Wire } from './wire.ts';

const mebibyte = 1024 * 1024;
const goal = 0.9;

/**
 * Answers from memory with nothing but node: GET `/N` with N bytes, PUT when it has hashed the body. What loopback, the load
 * and one sha256 allow.
 */
export function serveFloor(port: number): void {
  const piece = randomBytes(mebibyte / 4);
  createServer({ noDelay: true }, (request, response) => {
    if (request.method === 'PUT') {
      const hash = createHash('sha256');
      request.on('data', (bytes: Buffer) => hash.update(bytes));
      request.on('end', () => response.writeHead(201).end(hash.digest('hex')));
      return;
    }
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

/** Pushes one large blob, and pulls it with a client that hashes it: each registry and the bare server in turn. */
export async function measureLarge(
  { own, peer, floor }: { readonly own: Target; readonly peer: Target; readonly floor: Target },
  { mebibytes, rounds }: { readonly mebibytes: number; readonly rounds: number },
): Promise<Fact[]> {
  const size = mebibytes * mebibyte;
  const block = randomBytes(mebibyte);
  const hash = createHash('sha256');
  for (let sent = 0; sent < size; sent += mebibyte) hash.update(block);
  const digest = `sha256:${hash.digest('hex')}`;
  const path = `/v2/bench/large/blobs/${digest}`;
  const pushes = [own, peer].map((target) => async () => {
    const url = await openUpload(target.port, digest);
    return pushBlocks(target.port, url, block, size);
  });
  const facts = [
    await inTurn(
      `push one blob of ${mebibytes} MiB`,
      'a bare node:http that hashes and forgets it',
      [...pushes, () => pushBlocks(floor.port, '/', block, size)],
      { mebibytes, rounds },
    ),
  ];
  const pulls = [own, peer].map((target) => () => pullAndHash(target.port, path, size));
  facts.push(
    await inTurn(
      `pull and hash one blob of ${mebibytes} MiB`,
      'the memory of a bare node:http',
      [...pulls, () => pullAndHash(floor.port, `/${size}`, size)],
      { mebibytes, rounds },
    ),
  );
  return facts;
}

/** Runs what takes the returned seconds on ours, the other registry and the floor, in turn; one round more warms up. */
async function inTurn(
  name: string,
  floor: string,
  runs: readonly (() => Promise<number>)[],
  { mebibytes, rounds }: { readonly mebibytes: number; readonly rounds: number },
): Promise<Fact> {
  const times = runs.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [place, run] of runs.entries()) {
      const seconds = await run();
      if (round >= 0) times[place]?.push(seconds);
    }
  }
  const [ours = 1, theirs = 1, least = 1] = times.map((seconds) => mebibytes / median(seconds));
  const speed = (value: number): string => `${value.toFixed(0)} MiB/s`;
  return fact(
    name,
    `${speed(ours)}; docker-registry ${speed(theirs)}; ${floor} ${speed(least)}, of which ours is ${(ours / least).toFixed(2)}`,
    `≥ ${goal} of the last`,
    ours / least >= goal,
  );
}

/** Path of a new upload, with the digest that ends it. */
async function openUpload(port: number, digest: string): Promise<string> {
  const wire = await Wire.connect(port);
  const { location } = expect(await wire.send('POST', '/v2/bench/large/blobs/uploads/'), 202);
  wire.close();
  const url = new URL(location, 'http://registry');
  url.searchParams.set('digest', digest);
  return `${url.pathname}${url.search}`;
}

/** Seconds. @throws Error when it is not taken */
function pushBlocks(port: number, path: string, block: Buffer, size: number): Promise<number> {
  const startedAt = performance.now();
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': size };
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { host: '127.0.0.1', port, method: 'PUT', path, headers, agent: false },
      (answer) => {
        answer.resume();
        if (answer.statusCode === 201) resolve((performance.now() - startedAt) / 1000);
        else reject(new Error(`answered ${answer.statusCode}`));
      },
    );
    outgoing.on('error', reject);
    let sent = 0;
    const more = (): void => {
      while (sent < size) {
        sent += block.length;
        if (!outgoing.write(block)) return;
      }
      outgoing.off('drain', more).end();
    };
    outgoing.on('drain', more);
    more();
  });
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
