import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { digestOf } from '../../src/oci/index.ts';

const run = promisify(execFile);
const tag = 'image';

/** An OCI layout on disk that umoci unpacks and adds a layer to. */
export class UmociImage {
  readonly #folder: string;

  /** @param layers uncompressed layer tars, bottom first. */
  constructor(folder: string, layers: readonly Buffer[]) {
    this.#folder = folder;
    mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
    const platform = { architecture: 'amd64', os: 'linux' };
    const rootfs = { type: 'layers', diff_ids: layers.map((layer) => digestOf(layer)) };
    const history = layers.map(() => ({ created_by: 'test' }));
    const config = Buffer.from(JSON.stringify({ ...platform, config: {}, rootfs, history }));
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: this.#blob('application/vnd.oci.image.config.v1+json', config),
        layers: layers.map((layer) => this.#blob('application/vnd.oci.image.layer.v1.tar', layer)),
      }),
    );
    const descriptor = this.#blob('application/vnd.oci.image.manifest.v1+json', manifest);
    const annotations = { 'org.opencontainers.image.ref.name': tag };
    const index = { schemaVersion: 2, manifests: [{ ...descriptor, annotations }] };
    writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
    writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  }

  /** Unpacks all layers. @returns the root file system, which {@link UmociImage.repack} compares later. */
  async unpack(bundle: string): Promise<string> {
    await run('umoci', ['unpack', '--image', `${this.#folder}:${tag}`, bundle]);
    return join(bundle, 'rootfs');
  }

  /** Makes a layer of what was changed in an unpacked bundle. @returns the file of its blob. */
  async repack(bundle: string): Promise<string> {
    await run('umoci', ['repack', '--image', `${this.#folder}:${tag}`, bundle]);
    const index = this.#json(join(this.#folder, 'index.json')) as { manifests: { digest: string }[] };
    const manifest = this.#json(this.#path(index.manifests.at(-1)?.digest)) as {
      layers: { digest: string }[];
    };
    return this.#path(manifest.layers.at(-1)?.digest);
  }

  #blob(mediaType: string, data: Buffer): { mediaType: string; digest: string; size: number } {
    const digest = digestOf(data);
    writeFileSync(this.#path(digest), data);
    return { mediaType, digest, size: data.length };
  }

  #path(digest = ''): string {
    return join(this.#folder, 'blobs/sha256', digest.replace('sha256:', ''));
  }

  #json(path: string): unknown {
    return JSON.parse(readFileSync(path, 'utf8'));
  }
}
