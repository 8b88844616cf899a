/**
 * Varve's registry against Debian's docker-registry, in one run: the same requests over loopback, each case measured
 * on both in turn, medians of the rounds compared; then what only ours has to show: sizes at which others slow down.
 * `node bench/registry.ts [rounds] [--quick] [--blobs 1000000]`; `--quick` only shows that it runs.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRegistry } from '../packages/varve/src/registry/index.ts';
import { median } from './harness.ts';
import { expect, freePort, pushBlob, start, type Target } from './registry-target.ts';
import { measureScale } from './registry-scale.ts';
import { Wire } from './wire.ts';

const connections = 8;
const blobBytes = 1024 * 1024;
const mediaType = 'application/vnd.oci.image.manifest.v1+json';

interface Case {
  readonly name: string;
  readonly requests: number;
  readonly run: (wire: Wire, index: number) => Promise<void>;
}

async function startTargets(folder: string): Promise<Target[]> {
  const [own, theirs] = [await freePort(), await freePort()];
  const config = join(folder, 'docker-registry.yml');
  writeFileSync(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: {
        filesystem: { rootdirectory: join(folder, 'docker-registry') },
        cache: { blobdescriptor: 'inmemory' },
      },
      http: { addr: `127.0.0.1:${theirs}`, relativeurls: true },
    }),
  );
  return [
    await start('varve', own, [
      process.execPath,
      import.meta.filename,
      'serve',
      String(own),
      join(folder, 'varve'),
    ]),
    await start('docker-registry', theirs, ['docker-registry', 'serve', config]),
  ];
}

/** Fills a registry with one image under 1000 tags and returns the cases over it. */
async function prepare(target: Target, quick: boolean): Promise<Case[]> {
  const wire = await Wire.connect(target.port);
  const config = Buffer.from(
    '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
  );
  const layer = randomBytes(blobBytes);
  const [configDigest, layerDigest] = [
    await pushBlob(wire, 'bench/app', config),
    await pushBlob(wire, 'bench/app', layer),
  ];
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: configDigest,
        size: config.length,
      },
      layers: [
        { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layerDigest, size: layer.length },
      ],
    }),
  );
  const type = `Content-Type: ${mediaType}\r\n`;
  const putManifest = async (on: Wire, tag: string): Promise<void> => {
    expect(await on.send('PUT', `/v2/bench/app/manifests/${tag}`, type, manifest), 201);
  };
  for (let tag = 0; tag < 1000; tag++) await putManifest(wire, `t${tag}`);
  wire.close();
  const accept = `Accept: ${mediaType}\r\n`;
  const read = (method: string, path: (index: number) => string) => async (on: Wire, index: number) => {
    expect(await on.send(method, path(index), accept), 200);
  };
  const cases = [
    { name: 'GET /v2/', requests: 8000, run: read('GET', () => '/v2/') },
    {
      name: 'HEAD manifest by tag',
      requests: 4000,
      run: read('HEAD', (i) => `/v2/bench/app/manifests/t${i % 1000}`),
    },
    {
      name: 'GET manifest by tag',
      requests: 4000,
      run: read('GET', (i) => `/v2/bench/app/manifests/t${i % 1000}`),
    },
    { name: 'HEAD blob', requests: 4000, run: read('HEAD', () => `/v2/bench/app/blobs/${layerDigest}`) },
    { name: 'GET blob 1 MiB', requests: 400, run: read('GET', () => `/v2/bench/app/blobs/${layerDigest}`) },
    {
      name: 'tags/list of 1000',
      requests: 400,
      run: read('GET', () => '/v2/bench/app/tags/list'),
    },
    {
      name: 'push blob 1 MiB',
      requests: 160,
      run: async (on: Wire, index: number) => {
        const bytes = Buffer.alloc(blobBytes, index);
        randomBytes(32).copy(bytes);
        await pushBlob(on, `bench/r${index % 8}`, bytes);
      },
    },
    {
      name: 'PUT manifest by tag',
      requests: 800,
      run: (on: Wire, index: number) => putManifest(on, `t${index % 1000}`),
    },
  ];
  return quick ? cases.map((item) => ({ ...item, requests: Math.ceil(item.requests / 20) })) : cases;
}

/** Requests a second, over several connections. */
async function rate(target: Target, test: Case): Promise<number> {
  const wires = await Promise.all(Array.from({ length: connections }, () => Wire.connect(target.port)));
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    wires.map(async (wire) => {
      while (next < test.requests) await test.run(wire, next++);
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  for (const wire of wires) wire.close();
  return test.requests / seconds;
}

async function main(rounds: number, quick: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-registry-'));
  const targets = await startTargets(folder);
  try {
    const cases = new Map<Target, Case[]>();
    for (const target of targets) cases.set(target, await prepare(target, quick));
    console.log(`${connections} connections, ${rounds} rounds, requests a second (median)`);
    for (const index of (cases.get(targets[0] as Target) ?? []).keys()) {
      const rates = new Map<Target, number[]>(targets.map((target) => [target, []]));
      for (let round = 0; round < rounds; round++) {
        for (const target of targets) {
          rates.get(target)?.push(await rate(target, cases.get(target)?.[index] as Case));
        }
      }
      const [own, theirs] = targets.map((target) => median(rates.get(target) ?? []));
      const name = cases.get(targets[0] as Target)?.[index]?.name ?? '';
      console.log(
        `${name.padEnd(26)} varve ${own?.toFixed(0).padStart(7)}  docker-registry ${theirs?.toFixed(0).padStart(7)}  ${((own ?? 0) / (theirs ?? 1)).toFixed(2)}x`,
      );
    }
  } finally {
    for (const { child } of targets) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, blobs: { type: 'string', default: '' } },
});
const [command, port, root] = positionals;
if (command === 'serve' && port !== undefined && root !== undefined) {
  await startRegistry({
    http: { addr: `127.0.0.1:${port}` },
    log: { accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
  });
} else {
  await main(Number(command ?? (values.quick ? 1 : 3)), values.quick);
  await measureScale({ quick: values.quick, blobs: Number(values.blobs) || undefined });
}
