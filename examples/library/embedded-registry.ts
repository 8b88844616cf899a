/**
 * A registry inside a Node program, for a test or a tool: push to it, pull from it, gone when the program ends.
 *   node examples/library/embedded-registry.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RegistryClient } from 'varve/distribution';
import { digestOf, encodeJson, type ImageConfig, type Manifest, mediaTypes, parseReference } from 'varve/oci';
import { startRegistry } from 'varve/registry';

const rootdirectory = mkdtempSync(join(tmpdir(), 'varve-example-'));
{
  await using registry = await startRegistry({
    http: { addr: '127.0.0.1:0' },
    storage: { filesystem: { rootdirectory } },
  });
  await using client = new RegistryClient();
  const repository = client.repository(parseReference(`${registry.url.slice('http://'.length)}/demo/empty`));

  const config = encodeJson({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] },
  } satisfies ImageConfig);
  const descriptor = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length };
  await repository.putBlob(descriptor, async function* (start) {
    yield config.subarray(start);
  });
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: descriptor,
    layers: [],
  } satisfies Manifest);
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  await repository.putManifest('latest', { descriptor: manifest, bytes });

  const back = await repository.getManifest('latest');
  console.log(`pushed and pulled ${back.descriptor.digest} at ${registry.url}`);
}
rmSync(rootdirectory, { recursive: true });
