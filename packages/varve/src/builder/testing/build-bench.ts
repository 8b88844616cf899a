import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../base/index.ts';
import { openContentStore } from '../../content/index.ts';
import { RegistryClient } from '../../distribution/index.ts';
import { type LocalImage, LocalImageStore } from '../../image/index.ts';
import { mountsBelow, spawn, unmount } from '../../linux/index.ts';
import type { ContainerConfig } from '../../oci/index.ts';
import { State } from '../../state/index.ts';
import { Overlay2Driver } from '../../storage/index.ts';
import {
  type BuildEvent,
  Builder,
  type BuilderOptions,
  type BuildRequest,
  type StepRunner,
} from '../index.ts';
import { TestFolder } from './folder.ts';

/** Runs a step with chroot(8): a real command on the real root, without a container around it. */
export class ChrootRunner implements StepRunner {
  readonly steps: Parameters<StepRunner['run']>[0][] = [];

  async run(step: Parameters<StepRunner['run']>[0]): Promise<number> {
    this.steps.push(step);
    for (const { source, destination, type, readOnly } of step.mounts) {
      const target = join(step.rootfs, destination);
      mkdirSync(target, { recursive: true });
      const options = type === 'tmpfs' ? ['-t', 'tmpfs', 'tmpfs'] : ['--bind', source];
      execFileSync('mount', [...options, target]);
      if (readOnly) execFileSync('mount', ['-o', 'remount,bind,ro', target]);
    }
    const child = spawn(
      '/usr/sbin/chroot',
      [step.rootfs, '/bin/sh', '-c', 'cd "$0" && exec "$@"', step.workingDir, ...step.args],
      {
        env: Object.fromEntries(step.env.map((entry) => entry.split(/=([^]*)/, 2) as [string, string])),
        stdio: ['null', 'output', 'output'],
      },
    );
    const stop = (): void => child.kill(9);
    step.signal?.addEventListener('abort', stop, { once: true });
    child.pipes[1]?.on('data', (data: Buffer) => step.onOutput(1, data));
    child.pipes[2]?.on('data', (data: Buffer) => step.onOutput(2, data));
    try {
      const { code } = await child.exited;
      if (step.signal?.aborted) throw new VarveError('cancelled', 'CANCELLED', 'the build was cancelled');
      return code ?? 137;
    } finally {
      step.signal?.removeEventListener('abort', stop);
      for (const { destination } of step.mounts) unmount(join(step.rootfs, destination));
    }
  }
}

/** What a finished build told, sorted. */
export interface BuildReport {
  readonly events: readonly BuildEvent[];
  readonly image: LocalImage;
  readonly output: string;
  /** For each step with one: true for a hit, else why not. */
  readonly cache: readonly (true | string)[];
  readonly lines: readonly string[];
}

/** A builder on a real overlay2 driver, content store and image store, with a busybox base image. */
export class BuildBench implements AsyncDisposable {
  readonly folder = new TestFolder();
  readonly runner = new ChrootRunner();
  #state: State | undefined;
  #images: LocalImageStore | undefined;
  #driver: Overlay2Driver | undefined;
  #builder: Builder | undefined;

  static async open(options: Partial<BuilderOptions> = {}): Promise<BuildBench> {
    const bench = new BuildBench();
    await bench.#start(options);
    await bench.addBase('base');
    return bench;
  }

  get root(): string {
    return join(this.folder.path, 'data');
  }

  get images(): LocalImageStore {
    return this.#images as LocalImageStore;
  }

  get driver(): Overlay2Driver {
    return this.#driver as Overlay2Driver;
  }

  get builder(): Builder {
    return this.#builder as Builder;
  }

  async #start(options: Partial<BuilderOptions> = {}): Promise<void> {
    const state = new State(join(this.root, 'state.db'));
    const content = openContentStore({ root: this.root, state });
    const driver = new Overlay2Driver(this.root);
    const client = new RegistryClient({});
    const images = new LocalImageStore({ state, content, driver, client });
    const root = join(this.root, 'builder');
    this.#state = state;
    this.#driver = driver;
    this.#images = images;
    this.#builder = new Builder({ state, content, images, driver, runner: this.runner, root, ...options });
  }

  /** As after a restart of the daemon: everything is opened again from the disk. */
  async restart(): Promise<void> {
    await this.#driver?.close();
    this.#state?.close();
    await this.#start();
  }

  /** Imports a root file system with busybox. */
  async addBase(reference: string, config: ContainerConfig = {}): Promise<LocalImage> {
    const root = this.folder.write(
      { 'etc/passwd': 'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n', 'tmp/': '', 'bin/': '' },
      'base',
    );
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\napp:x:1000:\n');
    copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
    chmodSync(join(root, 'bin/busybox'), 0o755);
    for (const name of [
      'sh',
      'cat',
      'ls',
      'id',
      'env',
      'stat',
      'echo',
      'touch',
      'sleep',
      'ln',
      'mkdir',
      'rm',
      'test',
      'pwd',
      'readlink',
    ]) {
      execFileSync('ln', ['-sf', 'busybox', join(root, 'bin', name)]);
    }
    const archive = join(this.folder.path, 'base.tar');
    execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '-cf', archive, '.']);
    return this.images.import(createReadStream(archive), { reference, config });
  }

  /** Writes a context with a Dockerfile and builds it. */
  async build(
    dockerfile: string,
    files: Readonly<Record<string, string>> = {},
    request: Partial<BuildRequest> = {},
  ): Promise<BuildReport> {
    this.folder.write({ ...files, Dockerfile: dockerfile }, 'context');
    return this.run(request);
  }

  /** Builds the context as it is; `onEvent` is waited for after each event. */
  async run(request: Partial<BuildRequest> = {}, onEvent?: () => Promise<unknown>): Promise<BuildReport> {
    const events: BuildEvent[] = [];
    const full: BuildRequest = {
      contextFolder: join(this.folder.path, 'context'),
      dockerfile: { path: 'Dockerfile' },
      tags: [],
      buildArgs: {},
      labels: {},
      noCache: false,
      cacheFrom: [],
      pull: false,
      extraHosts: [],
      ...request,
    };
    for await (const event of this.builder.build(full)) {
      events.push(event);
      await onEvent?.();
    }
    const done = events.at(-1);
    if (done?.type !== 'done') throw new Error('the build did not end with "done"');
    const image = this.images.get(done.image);
    if (!image) throw new Error('the image is not in the store');
    return {
      events,
      image,
      output: events.map((event) => (event.type === 'output' ? event.data.toString() : '')).join(''),
      cache: events.flatMap((event) => (event.type === 'cache' ? [event.hit || (event.reason ?? '')] : [])),
      lines: events.flatMap((event) =>
        event.type === 'step' || event.type === 'status' || event.type === 'image' ? [event.text] : [],
      ),
    };
  }

  /** Runs `work` on the unpacked root of an image. */
  async inspect<T>(image: LocalImage, work: (root: string) => T): Promise<T> {
    const chain = await this.images.unpack(image);
    if (chain === undefined) throw new Error('the image has no layers');
    const root = await this.driver.mount(chain, { readOnly: true });
    try {
      return work(root);
    } finally {
      await this.driver.unmount(chain);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#driver?.close();
    this.#state?.close();
    for (const { target } of mountsBelow(this.folder.path).reverse()) unmount(target, { detach: true });
    this.folder[Symbol.dispose]();
  }
}
