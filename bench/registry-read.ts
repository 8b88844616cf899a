import { randomBytes } from 'node:crypto';
import { load, type LoadRequest, loadRequest } from './registry-load.ts';
import type { Comparison } from './registry-rounds.ts';
import { expect, pushBlob, type Target } from './registry-target.ts';
import { Wire } from './wire.ts';

const connections = 8;
const tagCount = 1000;
export const manifestType = 'application/vnd.oci.image.manifest.v1+json';
export const blobBytes = 1024 * 1024;

/** What a registry is filled with: one image under many tags. */
export interface Filled {
  readonly target: Target;
  readonly layer: string;
  readonly config: string;
  readonly manifest: Buffer;
}

/** Pushes one image under 1000 tags. */
export async function fill(target: Target): Promise<Filled> {
  const wire = await Wire.connect(target.port);
  const configBytes = Buffer.from(
    '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
  );
  const layerBytes = randomBytes(blobBytes);
  const config = await pushBlob(wire, 'bench/app', configBytes);
  const layer = await pushBlob(wire, 'bench/app', layerBytes);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: config,
        size: configBytes.length,
      },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size: blobBytes }],
    }),
  );
  const type = `Content-Type: ${manifestType}\r\n`;
  for (let tag = 0; tag < tagCount; tag++) {
    expect(await wire.send('PUT', `/v2/bench/app/manifests/t${tag}`, type, manifest), 201);
  }
  wire.close();
  return { target, layer, config, manifest };
}

/** What is read, and how many times docker-registry's requests a second are wanted. */
export const readCases: readonly Comparison<Filled>[] = [
  reading('GET /v2/', undefined, () => [loadRequest('GET', '/v2/')]),
  reading('HEAD manifest by tag', 5, () => ofEveryTag('HEAD')),
  reading('GET manifest by tag', 5, () => ofEveryTag('GET')),
  reading('HEAD blob', 5, ({ layer }) => [loadRequest('HEAD', `/v2/bench/app/blobs/${layer}`)]),
  reading('GET blob of 78 bytes', undefined, ({ config }) => [
    loadRequest('GET', `/v2/bench/app/blobs/${config}`),
  ]),
  reading('GET blob 1 MiB', 1.5, ({ layer }) => [loadRequest('GET', `/v2/bench/app/blobs/${layer}`)]),
  reading('tags/list of 1000', undefined, () => [loadRequest('GET', '/v2/bench/app/tags/list')]),
];

function ofEveryTag(method: 'GET' | 'HEAD'): LoadRequest[] {
  const accept = `Accept: ${manifestType}\r\n`;
  return Array.from({ length: tagCount }, (_, tag) =>
    loadRequest(method, `/v2/bench/app/manifests/t${tag}`, accept),
  );
}

function reading(
  name: string,
  goal: number | undefined,
  requests: (filled: Filled) => LoadRequest[],
): Comparison<Filled> {
  return {
    name,
    goal,
    run: (filled, milliseconds) => load(filled.target, requests(filled), { connections, milliseconds }),
  };
}
