import { gzipSync } from 'node:zlib';
import { archive, file } from '../../src/layer/testing/archive.ts';
import { type Digest, digestOf } from '../../src/oci/index.ts';

/** An image made in memory, whole or with something wrong in it. */
export interface MadeImage {
  readonly manifest: Buffer;
  readonly config: Buffer;
  /** Uncompressed layer tars, bottom first. */
  readonly tars: readonly Buffer[];
  /** Everything but the manifest, by the digest under which it is named. */
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

/** What to put in place of the truth. */
export interface Lies {
  readonly config?: (config: Record<string, unknown>) => unknown;
  readonly manifest?: (manifest: Record<string, unknown>) => unknown;
  /** Bytes sent for a layer instead of its own. */
  readonly layerBytes?: (gzip: Buffer) => Buffer;
  /** Layers as they come instead of gzip of the tars. */
  readonly compressed?: readonly Buffer[];
}

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** An OCI image of layer tars. */
export function makeImage(tars: readonly Buffer[], lies: Lies = {}): MadeImage {
  const gzips = lies.compressed ?? tars.map((tar) => gzipSync(tar, { level: 1 }));
  const truth = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
  };
  const config = encode(lies.config?.(truth) ?? truth);
  const plain = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.length,
    },
    layers: gzips.map((gzip) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: digestOf(gzip),
      size: gzip.length,
    })),
  };
  const manifest = encode(lies.manifest?.(plain) ?? plain);
  const blobs = new Map<Digest, Buffer>([[digestOf(config), config]]);
  for (const gzip of gzips) blobs.set(digestOf(gzip), lies.layerBytes?.(gzip) ?? gzip);
  return { manifest, config, tars, blobs };
}

/** `docker save` of old: manifest.json, the config and plain layer tars. */
export function dockerArchive(image: MadeImage, tag: string): Buffer {
  const config = `${digestOf(image.config).slice(7)}.json`;
  const layers = image.tars.map((_, index) => `${index}/layer.tar`);
  return archive(
    file(config, image.config),
    ...image.tars.map((tar, index) => file(`${index}/layer.tar`, tar)),
    file('manifest.json', encode([{ Config: config, RepoTags: [tag], Layers: layers }])),
  );
}

/** An OCI layout in a tar. */
export function ociArchive(image: MadeImage, tag: string): Buffer {
  const descriptor = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(image.manifest),
    size: image.manifest.length,
    annotations: { 'io.containerd.image.name': tag },
  };
  return archive(
    file('oci-layout', encode({ imageLayoutVersion: '1.0.0' })),
    file('index.json', encode({ schemaVersion: 2, manifests: [descriptor] })),
    file(`blobs/sha256/${descriptor.digest.slice(7)}`, image.manifest),
    ...[...image.blobs].map(([digest, bytes]) => file(`blobs/sha256/${digest.slice(7)}`, bytes)),
  );
}
