import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { callControl } from '../packages/varve/src/registry/control/index.ts';
import { expect, freePort, pushBlob, sha256, start, type Target } from './registry-target.ts';
import { Wire } from './wire.ts';

const mebibyte = 1024 * 1024;
const indexType = 'application/vnd.oci.image.index.v1+json';

/** How much of everything; `quick` only shows that it runs. */
export interface ScaleOptions {
  readonly quick: boolean;
  /** Records of blobs at the measured start. */
  readonly blobs?: number | undefined;
}

/** Measures Varve's registry alone where size matters: many tags, much garbage, large uploads, many blobs at the start. */
export async function measureScale({ quick, blobs = quick ? 1000 : 100_000 }: ScaleOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-registry-'));
  try {
    const root = join(folder, 'varve');
    const target = await startOwn(root);
    try {
      await listTags(target, quick ? 1000 : 100_000);
      await collect(target, root, quick ? 200 : 10_000);
      await upload(target, quick ? 4 : 1024);
    } finally {
      await stop(target);
    }
    await startWith(root, blobs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(name: string, value: string): void {
  console.log(`${name.padEnd(44)} ${value}`);
}

async function startOwn(root: string): Promise<Target> {
  const port = await freePort();
  const script = join(import.meta.dirname, 'registry.ts');
  return await start('varve', port, [process.execPath, script, 'serve', String(port), root]);
}

async function stop({ child }: Target): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** The first hundred tags of a repository with few and of one with many: the time must not depend on how many there are. */
async function listTags(target: Target, count: number): Promise<void> {
  const wire = await Wire.connect(target.port);
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [] }));
  const type = `Content-Type: ${indexType}\r\n`;
  for (const [repository, tags] of [
    ['scale/few', 10],
    ['scale/many', count],
  ] as const) {
    for (let first = 0; first < tags; first += 100) {
      const names = Array.from(
        { length: Math.min(100, tags - first) },
        (_, place) => `tag=t${first + place}`,
      );
      const path = `/v2/${repository}/manifests/${sha256(index)}?${names.join('&')}`;
      expect(await wire.send('PUT', path, type, index), 201);
    }
    const lists = 200;
    const startedAt = performance.now();
    for (let list = 0; list < lists; list++) {
      expect(await wire.send('GET', `/v2/${repository}/tags/list?n=100`), 200);
    }
    report(`tags/list?n=100 of ${tags}`, `${((performance.now() - startedAt) / lists).toFixed(2)} ms`);
  }
  const startedAt = performance.now();
  let listed = 0;
  for (let path = '/v2/scale/many/tags/list'; path !== ''; ) {
    const answer = await fetch(`http://127.0.0.1:${target.port}${path}`);
    listed += ((await answer.json()) as { tags: string[] }).tags.length;
    path = /^<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1] ?? '';
  }
  if (listed !== count) throw new Error(`${listed} tags of ${count}`);
  report(`tags/list of all ${count}`, `${(performance.now() - startedAt).toFixed(0)} ms`);
  wire.close();
}

async function collect(target: Target, root: string, count: number): Promise<void> {
  const wires = await Promise.all(Array.from({ length: 8 }, () => Wire.connect(target.port)));
  let next = 0;
  await Promise.all(
    wires.map(async (wire) => {
      while (next++ < count) await pushBlob(wire, 'scale/garbage', randomBytes(1024));
    }),
  );
  for (const wire of wires) wire.close();
  const startedAt = performance.now();
  for await (const item of callControl(join(root, 'control.sock'), '/collect', { grace: '0s' })) {
    if (!('done' in item)) continue;
    const { blobs } = item.done as { readonly blobs: readonly string[] };
    if (blobs.length !== count) throw new Error(`collected ${blobs.length} of ${count}`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  report(`collection of ${count} blobs`, `${seconds.toFixed(2)} s, ${(count / seconds).toFixed(0)} a second`);
}

/** The most memory that the server ever had, while uploads of `size` MiB run side by side. */
async function upload(target: Target, size: number): Promise<void> {
  const uploads = 64;
  const chunk = randomBytes(mebibyte);
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: uploads }, (_, number) => stream(target.port, number, chunk, size)));
  const seconds = (performance.now() - startedAt) / 1000;
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${target.child.pid}/status`, 'utf8'))?.[1];
  const rate = `${((uploads * size) / seconds).toFixed(0)} MiB/s`;
  report(
    `${uploads} uploads of ${size} MiB at once`,
    `RSS ${(Number(peak) / 1024).toFixed(0)} MiB at most, ${rate}`,
  );
}

/** One blob in one request; each is another, by its first bytes. */
async function stream(port: number, number: number, chunk: Buffer, size: number): Promise<void> {
  const first = Buffer.from(chunk);
  first.writeUInt32LE(number);
  const hash = createHash('sha256').update(first);
  for (let sent = 1; sent < size; sent++) hash.update(chunk);
  const path = `/v2/scale/r${number}/blobs/uploads/?digest=sha256:${hash.digest('hex')}`;
  const headers = { 'Content-Length': size * mebibyte };
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, method: 'POST', path, headers, agent: false },
      (answer) => {
        answer.resume();
        if (answer.statusCode === 201) resolve();
        else reject(new Error(`answered ${answer.statusCode}`));
      },
    );
    outgoing.on('error', reject);
    let sent = 0;
    const more = (): void => {
      while (sent < size) if (!outgoing.write(sent++ === 0 ? first : chunk)) return;
      outgoing.off('drain', more);
      outgoing.end();
    };
    outgoing.on('drain', more);
    more();
  });
}

/** Start to first answer, with the records of many blobs. */
async function startWith(root: string, count: number): Promise<void> {
  {
    using database = new DatabaseSync(join(root, 'registry.db'));
    const add = database.prepare('INSERT INTO registry_blobs (digest, size, stored_at) VALUES (?, 1, 0)');
    database.exec('BEGIN');
    for (let number = 0; number < count; number++) add.run(sha256(Buffer.from(`blob ${number}`)));
    database.exec('COMMIT');
  }
  const startedAt = performance.now();
  const target = await startOwn(root);
  report(`start with ${count} blobs`, `${(performance.now() - startedAt).toFixed(0)} ms`);
  await stop(target);
}
