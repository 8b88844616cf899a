import assert from 'node:assert/strict';
import { type Descriptor, type Digest, digestOf, mediaTypes } from '../../src/oci/index.ts';
import {
  type Answer,
  type CallOptions,
  encode,
  imageManifest,
  indexManifest,
  TestClient,
} from '../../src/registry/testing/index.ts';

/** A client that sends the same headers with everything. */
export class ClientWith extends TestClient {
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    super(url);
    this.#headers = headers;
  }

  override call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    return super.call(method, path, { ...options, headers: { ...this.#headers, ...options.headers } });
  }
}

const hostileText = `"><script>alert('x')</script><img src=x onerror=alert(1)>&amp;\u202etxt`;

/** Pushes an image as builders make them: a config with history, environment and labels, and two layers. */
export async function pushBuiltImage(
  client: TestClient,
  repository: string,
  reference: string,
  options: { readonly architecture?: string; readonly content?: string } = {},
): Promise<Descriptor & { readonly digest: Digest }> {
  const { architecture = 'amd64', content = 'an application' } = options;
  const base = await client.pushBlob(repository, Buffer.from('a base'), mediaTypes.ociLayerGzip);
  const own = await client.pushBlob(repository, Buffer.from(content), mediaTypes.ociLayerGzip);
  const config = encode({
    created: '2026-11-01T10:00:00Z',
    architecture,
    os: 'linux',
    config: {
      Entrypoint: ['/app', '--serve'],
      Env: ['PATH=/usr/bin', `EVIL=${hostileText}`],
      Labels: { 'org.example.evil': hostileText, [hostileText]: 'x' },
    },
    rootfs: { type: 'layers', diff_ids: [digestOf('a base'), digestOf(content)] },
    history: [
      { created_by: '/bin/sh -c #(nop) ADD file:base in / ' },
      { created_by: 'ENV EVIL=x # buildkit', empty_layer: true },
      { created_by: `RUN /bin/sh -c make ${hostileText} # buildkit`, comment: hostileText },
    ],
  });
  const descriptor = await client.pushBlob(repository, config, mediaTypes.ociConfig);
  const bytes = encode(imageManifest(descriptor, [base, own], { annotations: { evil: hostileText } }));
  const digest = digestOf(bytes);
  const answer = await client.putManifest(repository, reference === '' ? digest : reference, bytes);
  assert.equal(answer.status, 201, answer.body.toString());
  return { mediaType: mediaTypes.ociManifest, digest, size: bytes.length };
}

/** Pushes an index of two platforms, and what refers to it. */
export async function pushIndex(client: TestClient, repository: string, tag: string): Promise<Digest> {
  const manifests = await Promise.all(
    ['amd64', 'arm64'].map(async (architecture) => ({
      ...(await pushBuiltImage(client, repository, '', { architecture, content: `for ${architecture}` })),
      platform: { os: 'linux', architecture },
    })),
  );
  const bytes = encode(indexManifest(manifests));
  const answer = await client.putManifest(repository, tag, bytes, mediaTypes.ociIndex);
  assert.equal(answer.status, 201, answer.body.toString());
  const empty = await client.pushBlob(repository, Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
  const signature = imageManifest(empty, [empty], {
    artifactType: 'application/spdx+json',
    subject: { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), size: bytes.length },
  });
  const signed = await client.putManifest(repository, digestOf(encode(signature)), encode(signature));
  assert.equal(signed.status, 201, signed.body.toString());
  return digestOf(bytes);
}
