import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { callControl } from '../packages/varve/src/registry/control/index.ts';
import { median, must } from './harness.ts';
import { type Fact, fact } from './registry-facts.ts';
import { load, loadRequest } from './registry-load.ts';
import {
  expect,
  freePort,
  processorSeconds,
  pushBlob,
  sha256,
  start,
  type Target,
} from './registry-target.ts';
import { Wire } from './wire.ts';

const mebibyte = 1024 * 1024;
const indexType = 'application/vnd.oci.image.index.v1+json';

/** The parts that measure ours alone, where size matters. `quick` only shows that they run. */
export const scaleParts = {
  tags: (quick: boolean): Promise<Fact[]> => alone((target) => listTags(target, quick ? 1000 : 100_000)),
  collect: (quick: boolean): Promise<Fact[]> =>
    alone((target, root) => collect(target, root, quick ? 200 : 10_000)),
  uploads: (quick: boolean): Promise<Fact[]> =>
    alone((target, root) => upload(target, root, quick ? 4 : 1024)),
  start: (quick: boolean): Promise<Fact[]> =>
    alone((target, root) => startWith(target, root, quick ? 1000 : 1_000_000)),
} as const;

/** Gives a fresh registry to something. */
async function alone(measure: (target: Target, root: string) => Promise<Fact[]>): Promise<Fact[]> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-registry-'));
  const root = join(folder, 'varve');
  const target = await startOwn(root);
  try {
    return await measure(target, root);
  } finally {
    await stop(target);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startOwn(root: string): Promise<Target> {
  const port = await freePort();
  const script = join(import.meta.dirname, 'registry.ts');
  return await start('varve', port, [process.execPath, script, 'serve', String(port), root]);
}

async function stop({ child }: Target): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** The first hundred tags of a repository with few and of one with many: the time must not depend on how many there are. */
async function listTags(target: Target, count: number): Promise<Fact[]> {
  const facts: Fact[] = [];
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
  }
  // Five tags each, so that as much is sent, in turn: the server still copies the records of the new tags to storage.
  const pages = ['scale/few', 'scale/many'].map((repository) => ({
    requests: [loadRequest('GET', `/v2/${repository}/tags/list?n=5`)],
    times: [] as number[],
  }));
  for (let round = 0; round < 9; round++) {
    for (const { requests, times } of pages) {
      const options = { connections: 1, milliseconds: count > 1000 ? 500 : 50 };
      const { requests: answered, seconds } = await load(target, requests, options);
      times.push((seconds / answered) * 1000);
    }
  }
  const [few = 1, many = 1] = pages.map(({ times }) => median(times));
  const factor = many / few;
  facts.push(
    fact(
      `a page of tags of 10 and of ${count}`,
      `${few.toFixed(3)} and ${many.toFixed(3)} ms, ${factor.toFixed(2)} times`,
      '≤ 1.3 times',
      factor <= 1.3,
    ),
  );
  const startedAt = performance.now();
  let listed = 0;
  for (let path = '/v2/scale/many/tags/list'; path !== ''; ) {
    const answer = await fetch(`http://127.0.0.1:${target.port}${path}`);
    listed += ((await answer.json()) as { tags: string[] }).tags.length;
    path = /^<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1] ?? '';
  }
  if (listed !== count) throw new Error(`${listed} tags of ${count}`);
  facts.push(fact(`tags/list of all ${count}`, `${(performance.now() - startedAt).toFixed(0)} ms`));
  wire.close();
  return facts;
}

/** The time of a collection by what it removes and by what stays: once with little and once with ten times the blobs there. */
async function collect(target: Target, root: string, count: number): Promise<Fact[]> {
  const facts: Fact[] = [];
  const rates: number[] = [];
  for (const [round, garbage] of [count / 10, count].entries()) {
    const wires = await Promise.all(Array.from({ length: 8 }, () => Wire.connect(target.port)));
    let next = 0;
    await Promise.all(
      wires.map(async (wire) => {
        while (next++ < garbage) await pushBlob(wire, 'scale/garbage', randomBytes(1024));
      }),
    );
    for (const wire of wires) wire.close();
    const seconds = await collection(root, garbage);
    rates.push(garbage / seconds);
    facts.push(
      fact(
        `collection of ${garbage} blobs`,
        `${seconds.toFixed(2)} s, ${(garbage / seconds).toFixed(0)} a second`,
        round === 0 ? '' : 'as many a second',
        round === 0 || (rates[1] ?? 0) >= (rates[0] ?? 0) / 1.5,
      ),
    );
  }
  keep(root, count * 10);
  const seconds = await collection(root, 0);
  facts.push(
    fact(
      `collection of nothing beside ${count * 10} blobs in use`,
      `${(seconds * 1000).toFixed(0)} ms`,
      '≤ 100 ms',
      seconds <= 0.1,
    ),
  );
  return facts;
}

/** Seconds. @throws Error when it removes another number of blobs */
async function collection(root: string, count: number): Promise<number> {
  const startedAt = performance.now();
  for await (const item of callControl(join(root, 'control.sock'), '/collect', { grace: '0s' })) {
    if (!('done' in item)) continue;
    const { blobs } = item.done as { readonly blobs: readonly string[] };
    if (blobs.length !== count) throw new Error(`collected ${blobs.length} of ${count}`);
  }
  return (performance.now() - startedAt) / 1000;
}

/** Records of blobs that an earlier collection has looked at and that are in use: no review is due. */
function keep(root: string, count: number): void {
  using database = new DatabaseSync(join(root, 'registry.db'));
  // In the order of the index, without waiting for the disk, and without what a push sets off: minutes become seconds.
  const digests = Array.from({ length: count }, (_, number) => sha256(Buffer.from(`kept ${number}`))).sort();
  const triggers = database
    .prepare(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'registry_blob_links'",
    )
    .all();
  database.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN');
  for (const { name } of triggers) database.exec(`DROP TRIGGER ${String(name)}`);
  const add = database.prepare('INSERT INTO registry_blobs (digest, size, stored_at) VALUES (?, 1, 0)');
  for (const digest of digests) add.run(digest);
  database.exec(`
    INSERT INTO registry_blob_links (repository_id, blob_id, linked_at)
      SELECT (SELECT min(id) FROM registry_repositories), id, 0 FROM registry_blobs WHERE true
      ON CONFLICT DO NOTHING;
    DELETE FROM registry_review;`);
  for (const { sql } of triggers) database.exec(String(sql));
  database.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
}

const memoryGoal = 200;

/**
 * The most memory that the server ever had, while uploads of `size` MiB run side by side. Where the disk has no room for all,
 * each tells that it has `size` and hangs up after as much as there is room for, when all have come so far.
 */
async function upload(first: Target, root: string, size: number): Promise<Fact[]> {
  await stop(first);
  const { port, argv } = await bundled(root);
  const target = await start('varve', port, argv);
  try {
    const uploads = 64;
    const { bavail, bsize } = statfsSync(root);
    const sent = Math.min(size, Math.floor((bavail * bsize) / mebibyte / 3 / uploads));
    const chunk = randomBytes(mebibyte);
    let left = uploads;
    const all = Promise.withResolvers<void>();
    const hangUp = async (): Promise<void> => {
      if (--left === 0) all.resolve();
      await all.promise;
    };
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: uploads }, (_, number) => stream(port, number, chunk, { size, sent, hangUp })),
    );
    const seconds = (performance.now() - startedAt) / 1000;
    const status = readFileSync(`/proc/${target.child.pid}/status`, 'utf8');
    const peak = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
    const rate = `${((uploads * sent) / seconds).toFixed(0)} MiB/s`;
    return [
      fact(
        `${uploads} uploads of ${size} MiB at once`,
        `${sent < size ? `the first ${sent} MiB of each: ` : ''}RSS ${peak.toFixed(0)} MiB at most, ${rate}`,
        `≤ ${memoryGoal} MiB`,
        peak <= memoryGoal,
      ),
    ];
  } finally {
    await stop(target);
  }
}

/** One blob in one request; each is another, by its first bytes. */
async function stream(
  port: number,
  number: number,
  chunk: Buffer,
  {
    size,
    sent: most,
    hangUp,
  }: { readonly size: number; readonly sent: number; readonly hangUp: () => Promise<void> },
): Promise<void> {
  const first = Buffer.from(chunk);
  first.writeUInt32LE(number);
  const hash = createHash('sha256').update(first);
  for (let sent = 1; most === size && sent < size; sent++) hash.update(chunk);
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
      while (sent < most) if (!outgoing.write(sent++ === 0 ? first : chunk)) return;
      outgoing.off('drain', more);
      if (most === size) outgoing.end();
      else {
        void hangUp().then(() => {
          outgoing.off('error', reject).on('error', () => undefined);
          outgoing.destroy();
          resolve();
        });
      }
    };
    outgoing.on('drain', more);
    more();
  });
}

/** Makes the bundle that users run beside `root`, and says how it serves that. */
async function bundled(root: string): Promise<{ readonly port: number; readonly argv: readonly string[] }> {
  const bundle = join(root, '..', 'bundle');
  must([process.execPath, join(import.meta.dirname, '../scripts/build.ts'), '--outdir', bundle]);
  const [port, file] = [await freePort(), join(root, '..', 'config.yml')];
  const configuration = {
    http: { addr: `127.0.0.1:${port}` },
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: root } },
  };
  writeFileSync(file, JSON.stringify(configuration));
  return { port, argv: [process.execPath, '--', join(bundle, 'varve.mjs'), 'registry', 'serve', file] };
}

/** Start of the bundled command to its first answer, with the records of many blobs that are in use. */
async function startWith(first: Target, root: string, count: number): Promise<Fact[]> {
  const wire = await Wire.connect(first.port);
  await pushBlob(wire, 'scale/start', Buffer.from('first'));
  wire.close();
  await stop(first);
  keep(root, count);
  const { port, argv } = await bundled(root);
  const [times, processor]: [number[], number[]] = [[], []];
  for (let round = 0; round < 7; round++) {
    const startedAt = performance.now();
    const target = await start('varve', port, argv);
    times.push(performance.now() - startedAt);
    processor.push(processorSeconds(target.pid) * 1000);
    await stop(target);
  }
  const time = median(times);
  return [
    fact(
      `start with ${count} blobs`,
      `${time.toFixed(0)} ms, of which ${median(processor).toFixed(0)} ms of processor time`,
      '≤ 1000 ms',
      time <= 1000,
    ),
  ];
}
