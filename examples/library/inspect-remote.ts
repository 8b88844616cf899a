/**
 * Looks at an image in a registry without pulling it: platform, command, and what each layer weighs.
 *   node examples/library/inspect-remote.ts 127.0.0.1:5000/app:1
 */
import { RegistryClient } from 'varve/distribution';
import {
  choosePlatform,
  hostPlatform,
  parseImageConfig,
  parseManifestDocument,
  parseReference,
  withDefaultTag,
} from 'varve/oci';

const reference = withDefaultTag(parseReference(process.argv[2] ?? 'busybox'));
await using client = new RegistryClient();
const repository = client.repository(reference);

let raw = await repository.getManifest(reference.digest ?? reference.tag ?? 'latest');
let parsed = parseManifestDocument(raw.bytes, raw.descriptor.mediaType);
if (parsed.kind === 'index') {
  const chosen = choosePlatform(parsed.document.manifests, hostPlatform());
  if (!chosen) throw new Error('the index has no image for this machine');
  raw = await repository.getManifest(chosen.digest);
  parsed = parseManifestDocument(raw.bytes, raw.descriptor.mediaType);
}
if (parsed.kind === 'index') throw new Error('an index within an index');

const { body } = await repository.getBlob(parsed.document.config);
const config = parseImageConfig(Buffer.concat(await Array.fromAsync(body)));
console.log(`${raw.descriptor.digest}  ${config.os}/${config.architecture}`);
console.log(`command: ${[...(config.config?.Entrypoint ?? []), ...(config.config?.Cmd ?? [])].join(' ')}`);
for (const [index, layer] of parsed.document.layers.entries()) {
  console.log(`layer ${index}: ${layer.digest} ${layer.size} bytes, DiffID ${config.rootfs.diff_ids[index]}`);
}
