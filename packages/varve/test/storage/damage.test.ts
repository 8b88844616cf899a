/** Every kind of thing is damaged while the engine is down: it starts and serves the rest, and a repair makes all right. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { chainIds, type DiffID } from '../../src/oci/index.ts';
import { busyboxTar, TestEngine } from '../engine/harness.ts';
import { engineCall } from '../support/engine-http.ts';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';

interface Finding {
  readonly kind: string;
  readonly subject: string;
  readonly problem: string;
  readonly repair?: { readonly action: string; readonly detail: string };
}

interface Report {
  readonly problems: readonly Finding[];
  readonly remaining: readonly Finding[];
}

async function check(engine: TestEngine, repair = false): Promise<Report> {
  const path = `/varve/system/check${repair ? '?repair=1' : ''}`;
  const { status, body } = await engineCall(engine.socket, 'POST', path, Buffer.alloc(0));
  assert.equal(status, 200, body);
  return JSON.parse(body) as Report;
}

/** Changes one bit in the middle of a file. */
function flipBit(path: string): void {
  const at = Math.floor(statSync(path).size / 2);
  const byte = readFileSync(path)[at] ?? 0;
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.of(byte ^ 1), 0, 1, at);
  closeSync(file);
}

for (const driver of ['overlay2', 'erofs'] as const) {
  describe(`on ${driver}`, () => {
    let engine: TestEngine;
    let registry: HostProcess & { readonly host: string };
    let app: string;
    let manifest: { readonly config: string; readonly layers: readonly string[]; readonly digest: string };
    let diffIds: readonly DiffID[];
    const root = (...names: string[]): string => join(engine.folder, 'root', ...names);
    const blob = (digest: string | undefined): string => root('content', (digest ?? '').replace(':', '/'));
    const up = (): Promise<void> => engine.up(`--storage-driver=${driver}`);

    /** Folder of a snapshot by its key. */
    const snapshot = (key: string | undefined): string => {
      const folder = root('snapshots', driver);
      const name = readdirSync(folder)
        .filter((id) => /^[0-9a-f]{64}$/.test(id))
        .find((id) => readFileSync(join(folder, id, 'snapshot.json'), 'utf8').includes(`"key":"${key}"`));
      assert.ok(name, `a snapshot ${key}`);
      return join(folder, name);
    };
    const records = (sql: string): void => {
      const state = new DatabaseSync(root('state.db'));
      state.exec(sql);
      state.close();
    };

    before(async () => {
      engine = await TestEngine.start();
      await engine.down();
      rmSync(root(), { recursive: true });
      await up();
      await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
      registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
      app = `${registry.host}/app:1`;
      await engine.ok(
        'run',
        '--name',
        'xx',
        '--network=none',
        'busybox',
        'sh',
        '-c',
        'mkdir /d; echo hello >/d/f; seq 9999 >/d/g; cp /bin/sh /d/h',
      );
      await engine.ok('commit', '-c', 'CMD ["cat","/d/f"]', 'xx', app);
      await engine.ok('rm', 'xx');
      await engine.ok('push', app);
      await engine.ok('rmi', app);
      await engine.ok('pull', app);
      const [digest = ''] = (await engine.inspect(app, '{{join .RepoDigests " "}}')).split('@').slice(1);
      const document = JSON.parse(readFileSync(blob(digest), 'utf8')) as {
        config: { digest: string };
        layers: { digest: string }[];
      };
      manifest = {
        digest,
        config: document.config.digest,
        layers: document.layers.map((layer) => layer.digest),
      };
      diffIds = JSON.parse(await engine.inspect(app, '{{json .RootFS.Layers}}')) as DiffID[];
      assert.deepEqual((await check(engine)).problems, []);
    });

    after(async () => {
      await registry?.[Symbol.asyncDispose]();
      await engine?.[Symbol.asyncDispose]();
    });

    /** Damages, starts, serves, finds, repairs, and finds nothing any more. @returns what was found and done. */
    async function mended(kinds: readonly string[], damage: () => void): Promise<Report> {
      await engine.down();
      damage();
      await up();
      assert.equal(await engine.ok('run', '--rm', '--network=none', 'busybox', 'echo', 'alive'), 'alive');
      const found = (await check(engine)).problems;
      for (const kind of kinds)
        assert.ok(
          found.some((item) => item.kind === kind),
          `${kind} in ${JSON.stringify(found, null, 1)}`,
        );
      const report = await check(engine, true);
      assert.deepEqual(report.remaining, [], JSON.stringify(report.problems, null, 1));
      assert.deepEqual((await check(engine)).problems, []);
      assert.equal(await engine.ok('run', '--rm', '--network=none', app), 'hello');
      return report;
    }

    async function survives(kinds: readonly string[], damage: () => void): Promise<void> {
      await mended(kinds, damage);
    }

    const top = (): string => snapshot(chainIds(diffIds)[1]);

    test('a layer whose folder is gone', () =>
      survives(['layer-missing'], () => rmSync(top(), { recursive: true })));

    test('layers whose record is empty or gone', () =>
      survives(['snapshot-record-unreadable', 'layer-missing'], () => {
        truncateSync(join(top(), 'snapshot.json'), 0);
        rmSync(join(snapshot(chainIds(diffIds)[0]), 'snapshot.json'));
      }));

    if (driver === 'erofs') {
      test('an archive with a bit flipped', async () => {
        const report = await mended(['layer-damaged'], () => flipBit(join(top(), 'diff.tar')));
        assert.equal(
          report.problems.find(({ kind }) => kind === 'layer-damaged')?.repair?.action,
          'made anew',
        );
      });
      test('an index gone', () => survives(['layer-damaged'], () => rmSync(join(top(), 'index.erofs'))));
      test('an index emptied', () =>
        survives(['layer-damaged'], () => truncateSync(join(top(), 'index.erofs'), 0)));
      return;
    }

    test('files of a layer emptied, changed and deleted', async () => {
      const report = await mended(['layer-damaged'], () => {
        truncateSync(join(top(), 'diff/d/g'), 0);
        flipBit(join(top(), 'diff/d/f'));
        rmSync(join(top(), 'diff/d/h'));
      });
      const damage = report.problems.find(({ kind }) => kind === 'layer-damaged');
      for (const told of ['/d/g has 0 bytes', '/d/f has other bytes', '/d/h is not there'])
        assert.ok(damage?.problem.includes(told), damage?.problem);
    });

    test('a bit flipped in a layer blob, and a manifest emptied', async () => {
      const report = await mended(['blob-corrupt'], () => {
        flipBit(blob(manifest.layers[1]));
        truncateSync(blob(manifest.digest), 0);
      });
      const repairs = report.problems
        .filter(({ kind }) => kind === 'blob-corrupt')
        .map(({ repair }) => repair);
      assert.ok(
        repairs.some((repair) => repair?.action === 'pulled'),
        JSON.stringify(repairs),
      );
      assert.ok(readdirSync(root('quarantine')).some((name) => name.startsWith('blob-corrupt-')));
    });

    test('a config cut short', () =>
      survives(['image-config-missing'], () => truncateSync(blob(manifest.config), 20)));

    test('an image whose every blob is gone', () =>
      survives(['blob-missing', 'image-config-missing'], () => {
        for (const digest of [manifest.digest, manifest.config, manifest.layers[1]]) rmSync(blob(digest));
      }));

    test('containers without a readable record, a writable layer, a folder', async () => {
      const write = ['busybox', 'sh', '-c', 'echo mine >/mine'];
      const garbled = await engine.ok('run', '-d', '--name', 'c1', '--network=none', ...write);
      const layerless = await engine.ok('create', '--name', 'c2', '--network=none', app);
      const homeless = await engine.ok('create', '--name', 'c3', '--network=none', app);
      await engine.ok('wait', 'c1');
      const kinds = ['container-record-unreadable', 'container-layer-missing', 'container-folder-missing'];
      const report = await mended(kinds, () => {
        records(`UPDATE engine_containers SET document = '{"id": ' WHERE id = '${garbled}'`);
        rmSync(snapshot(layerless), { recursive: true });
        rmSync(root('containers', homeless), { recursive: true });
      });
      const kept = report.problems.find(({ subject }) => subject === garbled)?.repair?.detail ?? '';
      assert.equal(readFileSync(join(kept, 'snapshot/diff/mine'), 'utf8'), 'mine\n', 'what it wrote is kept');
      assert.equal(await engine.ok('start', '-a', 'c2'), 'hello');
      assert.equal(await engine.ok('start', '-a', 'c3'), 'hello');
      await engine.ok('create', '--name', 'c1', 'busybox');
      await engine.ok('rm', 'c1', 'c2', 'c3');
    });

    test('garbled records of an image, a volume and networks, and a volume without one', async () => {
      await engine.ok('network', 'create', 'net1');
      await engine.ok('volume', 'create', 'lost');
      const use = ['run', '--rm', '--network=none', '-v', 'garbled:/v', 'busybox'];
      await engine.ok(...use, 'sh', '-c', 'echo kept >/v/f');
      const kinds = ['image-record-unreadable', 'volume-record-unreadable', 'volume-unrecorded'];
      await survives(kinds, () => {
        records(`UPDATE image_images SET manifest = '{' WHERE id = '${manifest.config}'`);
        records("UPDATE volume_volumes SET record = '' WHERE name = 'garbled'");
        records("DELETE FROM volume_volumes WHERE name = 'lost'");
        records("UPDATE network_networks SET record = 'x' WHERE name IN ('net1', 'bridge')");
      });
      assert.equal(await engine.ok(...use, 'cat', '/v/f'), 'kept');
      await engine.ok('volume', 'rm', 'garbled', 'lost');
      assert.doesNotMatch(await engine.ok('network', 'ls', '--format', '{{.Name}}'), /net1/);
      assert.equal(await engine.ok('run', '--rm', 'busybox', 'echo', 'on a bridge'), 'on a bridge');
    });

    test('what a dead container left mounted', async () => {
      const target = root('containers', 'f'.repeat(64));
      mkdirSync(target);
      execFileSync('mount', ['-t', 'tmpfs', 'none', target]);
      const { problems, remaining } = await check(engine, true);
      assert.ok(problems.some(({ kind, subject }) => kind === 'mount-leaked' && subject === target));
      assert.deepEqual(remaining, [], JSON.stringify(problems));
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(`${target} `));
    });

    for (const [what, damage] of [
      ['gone', () => rmSync(root('state.db'))],
      ['garbage', () => writeFileSync(root('state.db'), Buffer.alloc(50_000, 'garbage'))],
    ] as const) {
      test(`records that are ${what}: their copy stands in`, async () => {
        const id = await engine.ok('create', '--name', 'kept', '--network=none', app);
        await survives([], () => {
          damage();
          for (const name of ['state.db-wal', 'state.db-shm']) rmSync(root(name), { force: true });
        });
        assert.equal(await engine.inspect('kept', '{{.Id}}'), id);
        assert.equal(await engine.ok('start', '-a', 'kept'), 'hello');
        await engine.ok('rm', 'kept');
      });
    }

    test('records lost with their copy: images come back from their blobs without names, the rest is set aside', async () => {
      const id = await engine.ok('run', '-d', '--network=none', 'busybox', 'sh', '-c', 'echo mine >/mine');
      await engine.ok('wait', id);
      await engine.down();
      for (const name of readdirSync(root()).filter((file) => file.startsWith('state.db')))
        rmSync(root(name));
      writeFileSync(root('state.db'), 'no database at all');
      await up();
      const ids = (await engine.ok('images', '-aq', '--no-trunc')).split('\n');
      assert.ok(ids.includes(manifest.config), ids.join());
      assert.equal(await engine.ok('run', '--rm', '--network=none', manifest.config), 'hello');
      const kept = readdirSync(root('quarantine')).find((name) =>
        name.includes(`container-folder-orphan-${id}`),
      );
      assert.ok(kept);
      assert.equal(readFileSync(root('quarantine', kept, 'snapshot/diff/mine'), 'utf8'), 'mine\n');
      assert.deepEqual((await check(engine, true)).remaining, []);
    });
  });
}
