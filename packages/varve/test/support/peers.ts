import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestEngine } from '../engine/harness.ts';

/** podman, buildah and skopeo beside an engine, with a store of their own. */
export class Peers {
  readonly #engine: TestEngine;
  readonly #store: readonly string[];
  readonly #environment: readonly string[];

  constructor(engine: TestEngine) {
    const folder = join(engine.folder, 'peers');
    mkdirSync(folder);
    // A machine without CAP_SYS_RESOURCE cannot raise the limits that podman asks for.
    const config = join(folder, 'containers.conf');
    writeFileSync(config, '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=4096:4096"]\n');
    this.#engine = engine;
    this.#environment = [`CONTAINERS_CONF=${config}`, `TMPDIR=${folder}`];
    this.#store = [
      '--root',
      join(folder, 'root'),
      '--runroot',
      join(folder, 'run'),
      '--storage-driver',
      'overlay',
    ];
  }

  /** A manifest's bytes as our registry serves them. */
  async manifest(reference: string): Promise<string> {
    const result = await this.#engine.onHost(
      'skopeo',
      'inspect',
      '--raw',
      '--tls-verify=false',
      `docker://${reference}`,
    );
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  }

  podman(...args: readonly string[]): Promise<string> {
    const flags = ['--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--runtime', 'runc'];
    return this.#run('podman', ...this.#store, ...flags, ...args);
  }

  buildah(...args: readonly string[]): Promise<string> {
    return this.#run('buildah', ...this.#store, ...args);
  }

  skopeo(...args: readonly string[]): Promise<string> {
    return this.#run('skopeo', ...args);
  }

  /** The reference by which skopeo finds an image of podman's. */
  storage(image: string): string {
    const [, root, , run] = this.#store;
    return `containers-storage:[overlay@${root}+${run}]${image}`;
  }

  async #run(...argv: readonly string[]): Promise<string> {
    const result = await this.#engine.onHost('env', ...this.#environment, ...argv);
    assert.equal(result.code, 0, `${argv.join(' ')}: ${result.stderr}`);
    return result.stdout.trim();
  }
}
