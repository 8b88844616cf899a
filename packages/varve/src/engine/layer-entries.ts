import type { LayerEntry } from '../explain/index.ts';
import { scanLayer, type TarEntry, type TarEntryType } from '../layer/index.ts';
import { createDigester, type Digester, digestOf } from '../oci/index.ts';

const types: Readonly<Partial<Record<TarEntryType, LayerEntry['type']>>> = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  hardlink: 'hardlink',
  'character-device': 'character-device',
  'block-device': 'block-device',
  fifo: 'fifo',
};

function entryOf(entry: TarEntry, digester: Digester | undefined): LayerEntry | undefined {
  const type = types[entry.type];
  if (type === undefined) return undefined;
  const xattrs = entry.xattrs
    .map(({ name, value }) => `${name.toString('latin1')}=${value.toString('base64')}`)
    .sort();
  return {
    path: entry.name.toString(),
    type,
    size: type === 'file' ? entry.size : 0,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime: entry.mtime.seconds * 1000 + entry.mtime.nanoseconds / 1e6,
    ...(entry.linkName.length === 0 ? {} : { linkName: entry.linkName.toString() }),
    ...(digester === undefined ? {} : { digest: digester.digest() }),
    ...(xattrs.length === 0 ? {} : { xattrs: digestOf(xattrs.join('\n')) }),
  };
}

/** Reads a layer blob's entries with the digest of every file's content, in one pass, for the explain room. */
export async function layerEntries(path: string, signal?: AbortSignal): Promise<readonly LayerEntry[]> {
  const entries: LayerEntry[] = [];
  let digester: Digester | undefined;
  await scanLayer(
    { path, compression: 'auto' },
    {
      entry: (entry) => {
        digester = entry.type === 'file' ? createDigester() : undefined;
      },
      data: (slice) => digester?.update(slice),
      end: (entry) => {
        const read = entryOf(entry, digester);
        if (read) entries.push(read);
      },
    },
    signal === undefined ? {} : { signal },
  );
  return entries;
}
