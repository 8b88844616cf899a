import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { digestOf } from '../../src/oci/index.ts';
import { eventually, type Result, TestEngine } from '../engine/harness.ts';
import { fingerprint, holdings } from '../support/data-root.ts';
import { type HostProcess, startBeside } from '../support/host-process.ts';
import { dockerArchive, type MadeImage, ociArchive } from '../support/made-image.ts';

/** Up to the root of any tree. */
export const climb = '../'.repeat(20);

export function assertRefused(what: string, result: Result, message: RegExp): void {
  assert.notEqual(result.code, 0, `${what}: taken: ${result.stdout}`);
  assert.match(result.stderr + result.stdout, message, what);
  assert.doesNotMatch(result.stderr + result.stdout, /internal|TypeError|undefined/i, what);
}

/** An engine, a registry that says what it is told to say, and files of the host that nobody may touch. */
export class HostileRig implements AsyncDisposable {
  readonly engine: TestEngine;
  readonly registry: HostProcess;
  /** Folder of the files. */
  readonly canary: string;
  /** What the registry serves. */
  readonly served: string;
  #images = 0;

  private constructor(engine: TestEngine, registry: HostProcess, served: string) {
    this.engine = engine;
    this.registry = registry;
    this.served = served;
    this.canary = mkdtempSync('/var/tmp/varve-canary-');
    const at = (name: string): string => join(this.canary, name);
    writeFileSync(at('file'), 'untouched\n');
    mkdirSync(at('folder'));
    writeFileSync(at('folder/inner'), 'untouched\n');
    linkSync(at('file'), at('second-name'));
    symlinkSync('file', at('link'));
  }

  static async start(): Promise<HostileRig> {
    const engine = await TestEngine.start();
    try {
      const served = join(engine.folder, 'served');
      mkdirSync(join(served, 'blobs'), { recursive: true });
      const program = join(import.meta.dirname, 'lying-registry.ts');
      const registry = await startBeside(engine.netns, process.execPath, program, served);
      await engine.ok('image', 'prune', '-f');
      return new HostileRig(engine, registry, served);
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
    rmSync(this.canary, { recursive: true });
  }

  /** The engine works and has nothing left over. */
  async checkAlive(): Promise<void> {
    assert.equal(await this.engine.ok('run', '--rm', 'busybox', 'echo', 'alive'), 'alive');
    await eventually('no container is left', () => {
      const { containers, trash } = this.#holdings();
      return containers?.length === 0 && trash?.length === 0;
    });
  }

  /** Puts an image on the registry and gives its reference. */
  serve(image: Pick<MadeImage, 'manifest' | 'blobs'>, type?: string, digest?: string): string {
    const name = `lie/n${this.#images++}`;
    const path = join(this.served, 'manifests', name);
    mkdirSync(path, { recursive: true });
    const document = JSON.stringify({
      type: type ?? 'application/vnd.oci.image.manifest.v1+json',
      base64: image.manifest.toString('base64'),
      ...(digest === undefined ? {} : { digest }),
    });
    for (const reference of ['latest', digestOf(image.manifest)])
      writeFileSync(join(path, reference), document);
    for (const [blob, bytes] of image.blobs) writeFileSync(join(this.served, 'blobs', blob), bytes);
    return `127.0.0.1:${this.registry.firstLine}/${name}:latest`;
  }

  /** Runs an attempt and checks that it left nothing and that the engine lives; what it gave is removed first. */
  async harmless(what: string, attempt: () => Promise<void>): Promise<void> {
    // Folders that were removed are deleted in the background, those of the attempt before, too.
    await eventually('removed folders are gone', () => {
      const { temporary, trash } = this.#holdings();
      return temporary?.length === 0 && trash?.length === 0;
    });
    const before = {
      host: fingerprint(this.canary),
      store: this.#holdings(),
      images: await this.engine.ok('images', '-aq', '--no-trunc'),
    };
    await attempt();
    assert.equal(fingerprint(this.canary), before.host, `${what}: the host was changed`);
    const images = await this.engine.ok('images', '-aq', '--no-trunc');
    assert.equal(images, before.images, `${what}: an image is listed`);
    await eventually('', () => isDeepStrictEqual(this.#holdings(), before.store)).catch(() =>
      assert.deepEqual(this.#holdings(), before.store, `${what}: something is left in the store`),
    );
  }

  /** Sends an image in by every door for images. @param refusal the message; undefined when it is taken and confined. */
  async everyDoor(what: string, image: MadeImage, refusal: RegExp | undefined): Promise<void> {
    for (const [door, send] of this.#doors(image)) {
      await this.harmless(`${what}, ${door}`, async () => {
        const result = await send();
        if (refusal) assertRefused(`${what}, ${door}`, result, refusal);
        else {
          assert.equal(result.code, 0, `${what}, ${door}: ${result.stderr}${result.stdout}`);
          await this.engine.ok('rmi', 'hostile:1');
        }
      });
    }
  }

  #doors(image: MadeImage): [string, () => Promise<Result>][] {
    const { engine } = this;
    const doors: [string, () => Promise<Result>][] = [
      ['load of a docker archive', () => engine.dockerInput(dockerArchive(image, 'hostile:1'), 'load')],
      ['load of an OCI layout', () => engine.dockerInput(ociArchive(image, 'hostile:1'), 'load')],
      [
        'pull',
        async () => {
          const reference = this.serve(image);
          const result = await engine.docker('pull', reference);
          if (result.code === 0) await engine.ok('tag', reference, 'hostile:1');
          if (result.code === 0) await engine.ok('rmi', reference);
          return result;
        },
      ],
    ];
    const [only, second] = image.tars;
    if (only && !second) {
      doors.push(['import', () => engine.dockerInput(only, 'import', '-', 'hostile:1')]);
    }
    return doors;
  }

  /** An image that must be refused where it has a config of its own. */
  async everyDoorButImport(what: string, image: MadeImage): Promise<void> {
    await this.harmless(what, async () => {
      const message = /config|too large|larger|limit|DiffID|digest|layers/i;
      const load = (bytes: Buffer): Promise<Result> => this.engine.dockerInput(bytes, 'load');
      assertRefused(`${what}, pull`, await this.engine.docker('pull', this.serve(image)), message);
      assertRefused(`${what}, load`, await load(ociArchive(image, 'h:1')), message);
      assertRefused(`${what}, load`, await load(dockerArchive(image, 'h:1')), message);
    });
  }

  #holdings(): ReturnType<typeof holdings> {
    return holdings(join(this.engine.folder, 'root'));
  }
}

/** Makes a rig for all tests of a file, each of which must leave the engine alive. */
export function withHostileRig(take: (rig: HostileRig) => void): void {
  let rig: HostileRig | undefined;
  before(async () => {
    rig = await HostileRig.start();
    take(rig);
  });
  after(() => rig?.[Symbol.asyncDispose]());
  afterEach(() => rig?.checkAlive());
}
