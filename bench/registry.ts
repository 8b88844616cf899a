/**
 * Varve's registry beside Debian's docker-registry: the same requests over loopback to both in turn, then what only ours has
 * to show: sizes at which others slow down. `node bench/registry.ts [--quick] [--print] [--parts=read,start,…]`; every
 * part that was measured replaces its own in bench/RESULTS.md, unless `--print`. `--quick` only shows that they run, and writes
 * nothing.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRegistry } from '../packages/varve/src/registry/index.ts';
import { factTable } from './registry-facts.ts';
import { measureLarge, serveFloor } from './registry-large.ts';
import { load, loadRequest } from './registry-load.ts';
import { pushCases } from './registry-push.ts';
import { fill, type Filled, readCases } from './registry-read.ts';
import { type Comparison, compare, comparisonTable, medianOf, rate } from './registry-rounds.ts';
import { scaleParts } from './registry-scale.ts';
import { freePort, start, type Target } from './registry-target.ts';
import { writeResultParts } from './results.ts';
import { machine } from './storage-machine.ts';

const heading = '# Registries side by side';
const connections = 8;

/** A part's place on the page is its place here. */
const titles = {
  read: 'Reading',
  push: 'Pushing',
  large: 'Large blobs',
  tags: 'Many tags',
  collect: 'Garbage',
  uploads: 'Uploads at once',
  start: 'Start',
} as const;
type Part = keyof typeof titles;

/** Starts both registries, and a server that does nothing, in a folder of their own for as long as `work` takes. */
async function withTargets<T>(
  work: (targets: { readonly own: Target; readonly peer: Target; readonly floor: Target }) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-registry-'));
  const targets: Target[] = [];
  const begin = async (name: string, argv: (port: number) => readonly string[]): Promise<Target> => {
    const port = await freePort();
    const target = await start(name, port, argv(port));
    targets.push(target);
    return target;
  };
  const self = [process.execPath, import.meta.filename];
  try {
    return await work({
      own: await begin('varve', (port) => [...self, 'serve', String(port), join(folder, 'varve')]),
      peer: await begin('docker-registry', (port) => [
        'docker-registry',
        'serve',
        peerConfiguration(folder, port),
      ]),
      floor: await begin('node:http', (port) => [...self, 'floor', String(port)]),
    });
  } finally {
    for (const { child } of targets) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

function peerConfiguration(folder: string, port: number): string {
  const path = join(folder, 'docker-registry.yml');
  const configuration = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(folder, 'docker-registry') },
      cache: { blobdescriptor: 'inmemory' },
    },
    http: { addr: `127.0.0.1:${port}`, relativeurls: true },
  };
  writeFileSync(path, JSON.stringify(configuration));
  return path;
}

/** Cases on both registries, each filled with one image under 1000 tags. */
async function sideBySide(cases: readonly Comparison<Filled>[], quick: boolean): Promise<string> {
  const rounds = quick ? { count: 1, milliseconds: 300 } : { count: 5, milliseconds: 2000 };
  return await withTargets(async ({ own, peer, floor }) => {
    const filled = [await fill(own), await fill(peer)] as const;
    const compared = await compare(filled, cases, rounds);
    const { milliseconds } = rounds;
    const bare = await load(floor, [loadRequest('GET', '/')], { connections, milliseconds });
    const perRequest = (bare.clientSeconds / bare.requests) * 1e6;
    return `${connections} connections, one request at a time on each, ${rounds.count} rounds of ${milliseconds / 1000} s on each registry in turn; medians. Requests a second of processor time are those of the server alone. The load takes ${perRequest.toFixed(0)} µs of processor time a request, and gets ${medianOf([bare], rate).toFixed(0)} empty answers a second from a bare \`node:http\`.

${comparisonTable(compared)}`;
  });
}

async function largeBlobs(quick: boolean): Promise<string> {
  const size = quick ? { mebibytes: 16, rounds: 1 } : { mebibytes: 1024, rounds: 5 };
  return factTable(await withTargets((targets) => measureLarge(targets, size)));
}

const parts: Readonly<Record<Part, (quick: boolean) => Promise<string>>> = {
  read: (quick) => sideBySide(readCases, quick),
  push: (quick) => sideBySide(pushCases, quick),
  large: largeBlobs,
  tags: async (quick) => factTable(await scaleParts.tags(quick)),
  collect: async (quick) => factTable(await scaleParts.collect(quick)),
  uploads: async (quick) => factTable(await scaleParts.uploads(quick)),
  start: async (quick) => factTable(await scaleParts.start(quick)),
};

function isPart(name: string): name is Part {
  return Object.hasOwn(parts, name);
}

async function main(
  names: readonly string[],
  { quick, print }: { readonly quick: boolean; readonly print: boolean },
): Promise<void> {
  const unknown = names.find((name) => !isPart(name));
  if (unknown !== undefined) {
    throw new Error(`no part ${unknown}: there are ${Object.keys(parts).join(', ')}`);
  }
  const version = spawnSync('docker-registry', ['--version'], { encoding: 'utf8' }).stdout.trim();
  for (const name of names.filter(isPart)) {
    console.log(`\n${titles[name]}`);
    const table = await parts[name](quick);
    const about = `Measured by \`node bench/registry.ts --parts=${name}\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}; ${version}. Load ${loadavg()[0]?.toFixed(1)}.`;
    if (!quick && !print) {
      writeResultParts(heading, [`## ${titles[name]}\n\n${about}\n\n${table}`], Object.values(titles));
    }
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    print: { type: 'boolean', default: false },
    parts: { type: 'string', default: Object.keys(parts).join(',') },
  },
});
const [command, port, root = ''] = positionals;
if (command === 'serve') {
  await startRegistry({
    http: { addr: `127.0.0.1:${port}` },
    log: { accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
  });
} else if (command === 'floor') {
  serveFloor(Number(port));
} else {
  await main(values.parts.split(','), values);
}
