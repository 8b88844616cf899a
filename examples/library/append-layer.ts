/**
 * Adds one file to an image as a new layer and pushes the result, without root, daemon or container runtime. The
 * layers below are not downloaded: the registry has them.
 *   node examples/library/append-layer.ts 127.0.0.1:5000/app:1 127.0.0.1:5000/app:2 ./message.txt /etc/message
 */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { RegistryClient } from 'varve/distribution';
import { encodeEnd, encodeHeader, paddingAfter } from 'varve/layer';
import {
  digestOf,
  encodeJson,
  type ImageConfig,
  type Manifest,
  mediaTypes,
  parseImageConfig,
  parseManifest,
  parseReference,
  withDefaultTag,
} from 'varve/oci';

const [from, to, file, path] = process.argv.slice(2);
if (!from || !to || !file || !path) throw new Error('usage: append-layer.ts FROM TO FILE PATH');
const source = withDefaultTag(parseReference(from));
const target = withDefaultTag(parseReference(to));
await using client = new RegistryClient();
const here = client.repository(source);
const there = client.repository(target);

// What there is: manifest and config. Layers stay where they are.
const raw = await here.getManifest(source.digest ?? source.tag ?? 'latest');
const manifest = parseManifest(raw.bytes, raw.descriptor.mediaType);
const { body } = await here.getBlob(manifest.config);
const config = parseImageConfig(Buffer.concat(await Array.fromAsync(body)));

// The new layer: a tar of one file. Its DiffID is the tar's digest, its digest that of the compressed blob.
const content = readFileSync(file);
const none = Buffer.alloc(0);
const tar = Buffer.concat([
  encodeHeader({
    type: 'file',
    name: Buffer.from(path.replace(/^\/+/, '')),
    linkName: none,
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: none,
    groupName: none,
    size: content.length,
    mtime: { seconds: 0, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  }),
  content,
  Buffer.alloc(paddingAfter(content.length)),
  encodeEnd(),
]);
const blob = gzipSync(tar);
const layer = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(blob), size: blob.length };

// The new image: the old JSON and one line more.
const newConfig: ImageConfig = {
  ...config,
  rootfs: { type: 'layers', diff_ids: [...config.rootfs.diff_ids, digestOf(tar)] },
  history: [...(config.history ?? []), { created_by: `append-layer ${path}` }],
};
const configBytes = encodeJson(newConfig);
const newManifest: Manifest = {
  ...manifest,
  config: { ...manifest.config, digest: digestOf(configBytes), size: configBytes.length },
  layers: [...manifest.layers, layer],
};
const manifestBytes = encodeJson(newManifest);

for (const old of manifest.layers) {
  const known = (await there.hasBlob(old.digest)) || (await there.mountBlob(old.digest, source.path));
  if (!known)
    await there.putBlob(old, async function* (start) {
      yield* (await here.getBlob(old, { range: { start } })).body;
    });
}
for (const [descriptor, bytes] of [
  [layer, blob],
  [newManifest.config, configBytes],
] as const) {
  await there.putBlob(descriptor, async function* (start) {
    yield bytes.subarray(start);
  });
}
const descriptor = {
  mediaType: raw.descriptor.mediaType,
  digest: digestOf(manifestBytes),
  size: manifestBytes.length,
};
await there.putManifest(target.tag ?? descriptor.digest, { descriptor, bytes: manifestBytes });
console.log(`${to}@${descriptor.digest}`);
