import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Descriptor, digestOf, isDigest, type Manifest, mediaTypes } from '../../src/oci/index.ts';
import { encode, httpCall, imageManifest } from '../../src/registry/testing/index.ts';

const repository = 'crash/app';
const layerBytes = 3 * 1024 * 1024;
const chunkBytes = 1024 * 1024;

/** What the server has confirmed, and the upload that was open when it died. */
export interface Witness {
  readonly tags: Map<string, string>;
  readonly blobs: Set<string>;
  open: { readonly path: string; readonly content: Buffer } | undefined;
  /**
   * Set at the moment the disk dies, where the server lives on for a while: what it says after that is no promise. The
   * kernel can end an fsync that was under way at a shutdown of the file system without an error.
   */
  diskDied: boolean;
}

/** Ends the pushing of a witness whose disk is dead. */
function stillTrusted(witness: Witness): void {
  if (witness.diskDied) throw new Error('the disk is dead');
}

async function answered(
  base: string,
  method: string,
  path: string,
  status: number,
  body?: Uint8Array,
): Promise<string> {
  const headers = {
    'Content-Type': path.includes('/manifests/') ? mediaTypes.ociManifest : 'application/octet-stream',
  };
  const answer = await httpCall(base, method, path, { headers, ...(body ? { body } : {}) });
  assert.equal(answer.status, status, `${method} ${path}: ${answer.body.toString()}`);
  return answer.headers.location ?? '';
}

async function pushBlob(base: string, content: Buffer, witness: Witness): Promise<Descriptor> {
  const digest = digestOf(content);
  const path = await answered(base, 'POST', `/v2/${repository}/blobs/uploads/`, 202);
  witness.open = { path, content };
  for (let start = 0; start < content.length; start += chunkBytes) {
    await answered(base, 'PATCH', path, 202, content.subarray(start, start + chunkBytes));
  }
  await answered(base, 'PUT', `${path}?digest=${digest}`, 201);
  stillTrusted(witness);
  witness.open = undefined;
  witness.blobs.add(digest);
  return { mediaType: mediaTypes.ociLayer, digest, size: content.length };
}

export function newWitness(): Witness {
  return { tags: new Map(), blobs: new Set(), open: undefined, diskDied: false };
}

/** Pushes images one after the other until the server dies, or says 500 because its disk did. */
export async function pushUntilDeath(base: string, round: number, witness: Witness): Promise<void> {
  try {
    for (let number = 0; ; number++) {
      const layer = await pushBlob(base, randomBytes(layerBytes), witness);
      const config = await pushBlob(base, encode({ round, number }), witness);
      const manifest = encode(imageManifest(config, [layer]));
      const tag = `r${round}-n${number}`;
      await answered(base, 'PUT', `/v2/${repository}/manifests/${tag}`, 201, manifest);
      stillTrusted(witness);
      witness.tags.set(tag, digestOf(manifest));
    }
  } catch (error) {
    if (error instanceof assert.AssertionError && error.actual !== 500) throw error;
  }
}

/** Every file under a digest's name has exactly those bytes. */
export function checkFiles(root: string): void {
  const folder = join(root, 'blobs');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    if (!statSync(path).isFile()) continue;
    const [algorithm, , hex] = name.split('/');
    const digest = `${algorithm}:${hex}`;
    assert.ok(isDigest(digest), name);
    assert.equal(digestOf(readFileSync(path)), digest);
  }
}

/** What was confirmed is there, and the images whose tags begin with `prefix` are whole. */
export async function checkRecords(base: string, witness: Witness, prefix: string): Promise<void> {
  for (const digest of witness.blobs) await answered(base, 'HEAD', `/v2/${repository}/blobs/${digest}`, 200);
  const list = await httpCall(base, 'GET', `/v2/${repository}/tags/list`);
  const tags = list.status === 404 ? [] : (list.json() as { tags: string[] }).tags;
  for (const [tag, digest] of witness.tags) {
    const head = await httpCall(base, 'HEAD', `/v2/${repository}/manifests/${tag}`);
    assert.equal(head.headers['docker-content-digest'], digest, tag);
  }
  for (const tag of tags.filter((name) => name.startsWith(prefix))) {
    const manifest = (await httpCall(base, 'GET', `/v2/${repository}/manifests/${tag}`)).json() as Manifest;
    for (const blob of [manifest.config, ...manifest.layers]) {
      const { status, body } = await httpCall(base, 'GET', `/v2/${repository}/blobs/${blob.digest}`);
      assert.deepEqual([status, digestOf(body)], [200, blob.digest], tag);
    }
  }
}

/** The upload that was open goes on where it stands, or is unknown; a third thing there is not. */
export async function finishOpenUpload(base: string, witness: Witness): Promise<boolean> {
  const { open } = witness;
  witness.open = undefined;
  if (!open) return false;
  const status = await httpCall(base, 'GET', open.path);
  if (status.status === 404) return false;
  assert.equal(status.status, 204);
  const last = Number(String(status.headers.range).split('-')[1]);
  // 0-0 stands for nothing, and for one byte, at which no write of the server ends.
  const offset = last === 0 ? 0 : last + 1;
  const rest = open.content.subarray(offset);
  const digest = digestOf(open.content);
  await answered(base, 'PUT', `${open.path}?digest=${digest}`, 201, rest);
  witness.blobs.add(digest);
  return true;
}
