/**
 * Power cuts while an engine pulls, builds, commits, tags and removes: what the client was told is so, byte by byte.
 * VARVE_TEST_CUTS: ten times as many as there are cuts for each file system.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { archive, file } from '../../src/layer/testing/archive.ts';
import { PowerCutDisk } from '../../src/linux/testing/index.ts';
import { busyboxTar, eventually, TestEngine } from '../engine/harness.ts';
import { recorded, wrongBlobs } from '../support/data-root.ts';
import { endContainers } from '../support/end-containers.ts';
import { startVarveRegistry } from '../support/host-process.ts';
import { makeImage, ociArchive } from '../support/made-image.ts';

const cuts = Math.ceil(Number(process.env['VARVE_TEST_CUTS'] ?? 20) / 10);
/** A cut comes some milliseconds after some commands, at most so many of each. */
const mostCommands = 10;
const longest = 1000;
const pulled = 4;

/** What the client knows of a name: what `cat /word` says in it; null when it was removed. */
type Known = string | null;

/** Two clients at work on an engine whose disk will die. */
class Clients {
  readonly known = new Map<string, Known>();
  /** Names that something is being done to. */
  readonly unsure = new Set<string>();
  acknowledged = 0;
  #isOver = false;
  #count = 0;
  readonly #engine: TestEngine;
  readonly #words: ReadonlyMap<string, string>;
  readonly #context: string;

  /** @param words what `cat /word` says in each image of the registry. */
  constructor(engine: TestEngine, words: ReadonlyMap<string, string>) {
    this.#engine = engine;
    this.#words = words;
    this.#context = join(engine.folder, 'context');
    mkdirSync(this.#context);
  }

  /** Both work until a command fails. @param cut stops the disk. */
  async workUntil(cut: () => Promise<void>): Promise<void> {
    this.#isOver = false;
    const work = Promise.all([this.#pullAndTag(), this.#buildAndCommit()]);
    await cut();
    this.#isOver = true;
    await work;
  }

  async #pullAndTag(): Promise<void> {
    for (;;) {
      for (const [reference, word] of this.#words) {
        const copy = `copied:${this.#count++}`;
        if (!(await this.#say(reference, word, 'pull', reference))) return;
        if (!(await this.#say(copy, word, 'tag', reference, copy))) return;
        if (!(await this.#say(reference, null, 'rmi', reference))) return;
      }
    }
  }

  async #buildAndCommit(): Promise<void> {
    for (;;) {
      const number = this.#count++;
      const word = `word ${number}`;
      const lines = ['FROM busybox', `RUN echo ${word} >/word`, 'COPY data /data', 'RUN rm -r /var'];
      writeFileSync(join(this.#context, 'Dockerfile'), lines.join('\n'));
      writeFileSync(join(this.#context, 'data'), randomBytes(500_000));
      if (!(await this.#say(`built:${number}`, word, 'build', '-t', `built:${number}`, this.#context)))
        return;
      const create = ['create', '--name', `box-${number}`, `built:${number}`, 'true'];
      if ((await this.#engine.docker(...create)).code !== 0) return;
      if (!(await this.#say(`kept:${number}`, word, 'commit', `box-${number}`, `kept:${number}`))) return;
    }
  }

  /** Runs a command after which `name` is an image in which `cat /word` says `word`, or is gone. False when it failed. */
  async #say(name: string, word: string | null, ...argv: string[]): Promise<boolean> {
    this.unsure.add(name);
    const { code } = await this.#engine.docker(...argv);
    if (code !== 0 || this.#isOver) return false;
    this.unsure.delete(name);
    this.known.set(name, word);
    this.acknowledged++;
    return true;
  }

  /** All of it is so; and whatever else is listed works. */
  async check(root: string): Promise<void> {
    assert.deepEqual(wrongBlobs(root), [], 'blobs that are not what they are named');
    const { imageBlobs, layers, usedLayers } = recorded(root);
    assert.ok(imageBlobs.size > 0 && [...usedLayers].every((diffId) => layers.has(diffId)));
    const lines = (await this.#engine.ok('images', '-a', '--format', '{{.Repository}}:{{.Tag}}')).split('\n');
    const listed = new Set(lines);
    for (const [name, known] of this.known) {
      if (this.unsure.has(name)) continue;
      assert.equal(
        listed.has(name),
        known !== null,
        known !== null ? `${name} was promised` : `${name} was removed`,
      );
    }
    const ids = (await this.#engine.ok('images', '-aq', '--no-trunc')).split('\n');
    for (const id of new Set(ids)) await this.#engine.ok('run', '--rm', '--network=none', id, 'true');
    for (const [name, known] of this.known) {
      if (!listed.has(name) || typeof known !== 'string') continue;
      const word = await this.#engine.ok('run', '--rm', '--network=none', name, 'cat', '/word');
      assert.equal(word, known, name);
    }
    this.unsure.clear();
  }

  /** Removes all but busybox, so that the disk does not fill. */
  async clear(): Promise<void> {
    const boxes = (await this.#engine.ok('ps', '-aq')).split('\n').filter(Boolean);
    if (boxes.length > 0) await this.#engine.ok('rm', '-f', ...boxes);
    const names = (await this.#engine.ok('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n');
    const made = names.filter((name) => !/^busybox:|<none>/.test(name));
    if (made.length > 0) await this.#engine.ok('rmi', ...made);
    await this.#engine.ok('builder', 'prune', '-af');
    this.known.clear();
  }
}

for (const type of ['ext4', 'xfs'] as const) {
  test(`an engine on ${type} keeps all that its clients were told when the power goes`, async (t) => {
    await using engine = await TestEngine.start();
    await using registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
    const words = new Map<string, string>();
    for (let index = 0; index < pulled; index++) {
      const reference = `${registry.host}/power/image:${index}`;
      const layer = archive(file('word', `pulled ${index}`), file('noise', randomBytes(300_000)));
      const image = makeImage([archive(file('below', 'x')), layer]);
      const loaded = await engine.dockerInput(ociArchive(image, reference), 'load');
      assert.equal(loaded.code, 0, loaded.stderr);
      await buildOn(engine, reference);
      await engine.ok('push', reference);
      words.set(reference, `pulled ${index}`);
    }
    await engine.down();
    using disk = new PowerCutDisk({ type, mebibytes: 1024 });
    const root = join(disk.path, 'root');
    const flag = `--data-root=${root}`;
    await engine.up(flag);
    await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
    const clients = new Clients(engine, words);
    for (let cut = 0; cut < cuts; cut++) {
      await clients.workUntil(async () => {
        const target = clients.acknowledged + 1 + Math.floor(Math.random() * mostCommands);
        await eventually('commands succeed', () => clients.acknowledged >= target, 120_000);
        await delay(Math.random() * longest);
        disk.stop();
        // What is half done fails by itself, or hangs with an engine that cannot write any more.
        await engine.down('SIGKILL');
      });
      endContainers(engine.folder);
      endContainers(disk.path);
      disk.restart();
      await engine.up(flag);
      await clients.check(root);
      await clients.clear();
    }
    t.diagnostic(`${cuts} cuts, ${clients.acknowledged} commands acknowledged`);
  });
}

/** Puts busybox under an image that has none, so that it can be run. */
async function buildOn(engine: TestEngine, reference: string): Promise<void> {
  const dockerfile = `FROM ${reference} AS from\nFROM busybox\nCOPY --from=from /word /noise /\n`;
  const result = await engine.dockerInput(dockerfile, 'build', '-t', reference, '-');
  assert.equal(result.code, 0, result.stderr);
}
