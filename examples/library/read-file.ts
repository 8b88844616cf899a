/**
 * Prints a file out of an image in a registry, reading only as many layers as the look-up needs: from the top down, the
 * first one that has the file, or a whiteout of it, decides.
 *   node examples/library/read-file.ts 127.0.0.1:5000/app:1 /etc/motd
 */
import { RegistryClient } from 'varve/distribution';
import { readLayerEntry, scanLayer } from 'varve/layer';
import { parseManifest, parseReference, withDefaultTag } from 'varve/oci';

const [name = 'busybox', path = '/etc/passwd'] = process.argv.slice(2);
const reference = withDefaultTag(parseReference(name));
await using client = new RegistryClient();
const repository = client.repository(reference);
const { bytes, descriptor } = await repository.getManifest(reference.digest ?? reference.tag ?? 'latest');
const { layers } = parseManifest(bytes, descriptor.mediaType);

for (const layer of layers.toReversed()) {
  const { body } = await repository.getBlob(layer);
  let wanted = false;
  let deleted = false;
  const content: Buffer[] = [];
  let found = false;
  await scanLayer(
    { stream: body, compression: 'auto' },
    {
      entry: (entry) => {
        const read = readLayerEntry(entry);
        wanted = read?.kind === 'entry' && read.path === path && entry.type === 'file';
        found ||= wanted;
        if (read?.kind === 'whiteout' && (path === read.path || path.startsWith(`${read.path}/`)))
          deleted = true;
        if (read?.kind === 'opaque' && path.startsWith(`${read.path}/`)) deleted = true;
      },
      data: (slice) => {
        if (wanted) content.push(Buffer.from(slice));
      },
    },
  );
  if (found) {
    process.stdout.write(Buffer.concat(content));
    process.exit(0);
  }
  if (deleted) break;
}
console.error(`${path} is not in ${name}`);
process.exit(1);
