import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Descriptor, type Digest, digestOf, mediaTypes } from '../../oci/index.ts';
import { type Registry, type RegistryConfigInput, type RegistryOptions, startRegistry } from '../index.ts';
import { atEnd } from './cleanup.ts';
import { type Answer, type CallOptions, httpCall } from './http-call.ts';

/** A registry client of a few lines, for tests: every call answers with what came, nothing is retried. */
export class TestClient {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  call(method: string, path: string, options?: CallOptions): Promise<Answer> {
    return httpCall(this.url, method, path, options);
  }

  /** Pushes a blob in one POST and returns its descriptor. */
  async pushBlob(
    repository: string,
    bytes: Uint8Array,
    mediaType: string = mediaTypes.ociLayer,
  ): Promise<Descriptor> {
    const digest = digestOf(bytes);
    const answer = await this.call('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
      body: bytes,
    });
    assert.equal(answer.status, 201, answer.body.toString());
    return { mediaType, digest, size: bytes.length };
  }

  /** Opens an upload and returns its path. */
  async startUpload(repository: string): Promise<string> {
    const answer = await this.call('POST', `/v2/${repository}/blobs/uploads/`);
    assert.equal(answer.status, 202, answer.body.toString());
    return String(answer.headers.location);
  }

  putManifest(
    repository: string,
    reference: string,
    manifest: object | Uint8Array,
    mediaType: string = mediaTypes.ociManifest,
  ): Promise<Answer> {
    const body = manifest instanceof Uint8Array ? manifest : encode(manifest);
    return this.call('PUT', `/v2/${repository}/manifests/${reference}`, {
      body,
      headers: { 'Content-Type': mediaType },
    });
  }

  /** Pushes an image of one layer, whose bytes are `content`, and returns the manifest's digest. */
  async pushImage(
    repository: string,
    tag: string,
    content: string,
    extra: object = {},
  ): Promise<{ readonly digest: Digest; readonly bytes: Buffer; readonly layer: Descriptor }> {
    const config = await this.pushBlob(repository, encode({ content }), mediaTypes.ociConfig);
    const layer = await this.pushBlob(repository, Buffer.from(content));
    const bytes = encode(imageManifest(config, [layer], extra));
    const answer = await this.putManifest(repository, tag, bytes);
    assert.equal(answer.status, 201, answer.body.toString());
    return { digest: digestOf(bytes), bytes, layer };
  }
}

/** A registry of its own root and port, stopped and removed with the test. */
export class TestRegistry extends TestClient {
  readonly root: string;
  readonly registry: Registry;

  constructor(root: string, registry: Registry) {
    super(registry.url);
    this.root = root;
    this.registry = registry;
  }
}

/** Starts one with deleting allowed, on a free port. `root` keeps an earlier one's data. */
export async function startTestRegistry(
  t: TestContext,
  config: RegistryConfigInput = {},
  options: RegistryOptions & { readonly root?: string } = {},
): Promise<TestRegistry> {
  const root = options.root ?? temporaryRoot(t);
  const registry = await startRegistry(
    {
      ...config,
      http: { addr: '127.0.0.1:0', draintimeout: '2s', ...config.http },
      storage: { delete: { enabled: true }, ...config.storage, filesystem: { rootdirectory: root } },
    },
    options,
  );
  atEnd(t, () => registry.close());
  return new TestRegistry(root, registry);
}

/** A folder that is removed with the test. */
export function temporaryRoot(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'varve-registry-'));
  atEnd(t, () => rmSync(root, { recursive: true, force: true }));
  return root;
}

export function imageManifest(config: Descriptor, layers: readonly Descriptor[], extra: object = {}): object {
  return { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers, ...extra };
}

export function indexManifest(manifests: readonly Descriptor[], extra: object = {}): object {
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, ...extra };
}

export function encode(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Asks again until `check` is true. @throws after ten seconds */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`not within ten seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
