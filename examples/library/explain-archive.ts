/**
 * Explains a path of an image that lies in an archive of `docker save` or in an OCI layout's tar: no engine, no root.
 *   node examples/library/explain-archive.ts app.tar /etc/motd
 */
import { createReadStream } from 'node:fs';
import {
  buildStack,
  explainPath,
  type FileType,
  type LayerEntry,
  layerInstructions,
  renderPath,
} from 'varve/explain';
import { readTar, scanLayer } from 'varve/layer';
import { parseImageConfig, parseIndex, parseManifest } from 'varve/oci';

const [archive = 'app.tar', path = '/'] = process.argv.slice(2);

/** The archive's JSON files, and the entries of its layers, by blob name. */
const documents = new Map<string, Buffer>();
const layers = new Map<string, LayerEntry[]>();
for await (const file of readTar(createReadStream(archive))) {
  if (file.type !== 'file') continue;
  const name = file.name.toString();
  const chunks = await Array.fromAsync(file.body);
  const bytes = Buffer.concat(chunks);
  if (bytes[0] === 0x7b) {
    documents.set(name, bytes);
    continue;
  }
  if (!name.startsWith('blobs/')) continue;
  const entries: LayerEntry[] = [];
  const read = scanLayer(
    {
      stream: (async function* () {
        yield bytes;
      })(),
      compression: 'auto',
    },
    {
      entry: ({ name: entryName, type, size, mode, uid, gid, mtime, linkName }) => {
        if (type === 'other') return;
        const kind: FileType = type;
        const link = linkName.length === 0 ? {} : { linkName: linkName.toString() };
        entries.push({
          path: entryName.toString(),
          type: kind,
          size,
          mode,
          uid,
          gid,
          mtime: mtime.seconds * 1000,
          ...link,
        });
      },
    },
  );
  await read;
  layers.set(name, entries);
}

const blob = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
const document = (name: string): Buffer => {
  const bytes = documents.get(name);
  if (!bytes) throw new Error(`${name} is not in ${archive}`);
  return bytes;
};
const [first] = parseIndex(document('index.json')).manifests;
if (!first) throw new Error('the archive holds no image');
const manifest = parseManifest(document(blob(first.digest)), first.mediaType);
const config = parseImageConfig(document(blob(manifest.config.digest)));
const instructions = layerInstructions(config);
const stack = buildStack({
  layers: manifest.layers.map((layer, index) => {
    const instruction = instructions[index];
    return {
      entries: layers.get(blob(layer.digest)) ?? [],
      ...(instruction === undefined ? {} : { instruction }),
    };
  }),
});
console.log(renderPath(explainPath(stack, path)));
