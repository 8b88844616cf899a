/**
 * How fast a layer is unpacked and written, beside GNU tar on the same bytes: `node bench/layer.ts [folder]`. The folder (a
 * root file system; /usr/share unless given) is packed once, and every way unpacks it into the same place.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { applyLayer, scanLayer, writeLayer } from '../packages/varve/src/layer/index.ts';

const source = process.argv[2] ?? '/usr/share';
const work = mkdtempSync('/var/tmp/varve-bench-');
const rounds = 3;

interface Row {
  readonly name: string;
  readonly wall: number;
}
const rows: Row[] = [];

async function measure(name: string, run: (out: string) => unknown): Promise<void> {
  const out = join(work, 'out');
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out);
    execFileSync('sync');
    const start = performance.now();
    await run(out);
    times.push(performance.now() - start);
  }
  rows.push({ name, wall: times.sort((a, b) => a - b)[times.length >> 1] as number });
}

function tar(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('tar', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

try {
  const blob = await writeLayer({ kind: 'trees', upper: source }, join(work, 'l.tar.gz'), 'gzip');
  const plain = await writeLayer({ kind: 'trees', upper: source }, join(work, 'l.tar'), 'none');
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  console.log(
    `${source}: ${blob.entries} entries, ${mib(plain.tarSize)} MiB tar, ${mib(blob.blobSize)} MiB gzip`,
  );

  const gz = { path: join(work, 'l.tar.gz'), compression: 'gzip' } as const;
  await measure('tar -xzf', (out) => tar('-xzf', gz.path, '-C', out));
  await measure('applyLayer gzip (with DiffID)', (root) => applyLayer(gz, { root, whiteouts: 'overlay' }));
  await measure('tar -xf', (out) => tar('-xf', join(work, 'l.tar'), '-C', out));
  await measure('applyLayer plain (with DiffID)', (root) =>
    applyLayer({ path: join(work, 'l.tar'), compression: 'none' }, { root, whiteouts: 'overlay' }),
  );
  await measure('scanLayer gzip', () => scanLayer(gz, { entry: () => undefined }));
  await measure('tar -czf', (out) => tar('-czf', join(out, 'x'), '-C', source, '.'));
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    await measure(`writeLayer ${compression}`, (out) =>
      writeLayer({ kind: 'trees', upper: source }, join(out, 'x'), compression),
    );
  }
  for (const { name, wall } of rows) console.log(`${name.padEnd(34)} ${wall.toFixed(0).padStart(7)} ms`);
  console.log(`median of ${rounds}; node ${process.version}; output on ${statSync(work).dev}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
