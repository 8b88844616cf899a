import { createHash, randomBytes } from 'node:crypto';
import type { Load } from './registry-load.ts';
import { blobBytes, type Filled, manifestType } from './registry-read.ts';
import type { Comparison } from './registry-rounds.ts';
import { expect, processorSeconds, pushBlob, type Target } from './registry-target.ts';
import { Wire } from './wire.ts';

const connections = 8;
const endBytes = 32;

/** What is pushed. */
export const pushCases: readonly Comparison<Filled>[] = [
  blobCase('push blob 1 MiB', blobBytes, 2),
  blobCase('push blob 100 MiB', 100 * blobBytes),
  {
    name: 'PUT manifest by tag',
    goal: undefined,
    run: ({ target, manifest }, milliseconds) =>
      pushing(target, milliseconds, async (wire, index) => {
        const path = `/v2/bench/app/manifests/t${index % 1000}`;
        expect(await wire.send('PUT', path, `Content-Type: ${manifestType}\r\n`, manifest), 201);
      }),
  },
];

/** Blobs that differ at their ends only, so that the load hashes 32 bytes for each and not all of it. */
function blobCase(name: string, bytes: number, goal?: number): Comparison<Filled> {
  const piece = randomBytes(blobBytes);
  const begin = Buffer.alloc(bytes - endBytes, piece);
  const beginHash = createHash('sha256').update(begin);
  return {
    name,
    goal,
    run: ({ target }, milliseconds) => {
      const blobs = new Map<Wire, Buffer>();
      return pushing(target, milliseconds, async (wire, index) => {
        const blob = blobs.get(wire) ?? Buffer.concat([begin, Buffer.alloc(endBytes)]);
        blobs.set(wire, blob);
        const end = randomBytes(endBytes);
        end.copy(blob, begin.length);
        const digest = `sha256:${beginHash.copy().update(end).digest('hex')}`;
        await pushBlob(wire, `bench/r${index % 8}`, blob, digest);
      });
    },
  };
}

/** Does something over and over on several connections. */
async function pushing(
  target: Target,
  milliseconds: number,
  push: (wire: Wire, index: number) => Promise<void>,
): Promise<Load> {
  const wires = await Promise.all(Array.from({ length: connections }, () => Wire.connect(target.port)));
  const before = processorSeconds(target.pid);
  const own = process.cpuUsage();
  const startedAt = performance.now();
  let requests = 0;
  await Promise.all(
    wires.map(async (wire) => {
      while (performance.now() - startedAt < milliseconds) await push(wire, requests++);
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(own);
  for (const wire of wires) wire.close();
  return {
    requests,
    seconds,
    serverSeconds: processorSeconds(target.pid) - before,
    clientSeconds: (user + system) / 1e6,
  };
}
