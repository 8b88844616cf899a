import { createHash } from 'node:crypto';
import { throwIfAborted } from '../base/index.ts';
import { type Digest, digestOf } from '../oci/index.ts';
import type { FileHashes } from './file-hashes.ts';
import { type RawPath, text } from './raw-path.ts';
import { contentXattrs, type PathFilter, type TreeEntry, walkTree } from './tree.ts';

/** What a tree holds: one digest over all, and one for each file so that a change can be named. */
export interface TreeDigest {
  readonly digest: Digest;
  /** Path as text to a short digest; only the first {@link namedFiles}. */
  readonly files: Readonly<Record<string, string>>;
}

/** Files of one instruction whose digests are kept for explaining a miss; more would weigh down the records. */
const namedFiles = 5000;

/**
 * Digest of one file: type, mode, link, device, extended attributes and content, not its times nor its owner (an
 * instruction that copies gives the owner itself). BuildKit's contenthash does the same.
 */
async function fileDigest(
  entry: TreeEntry,
  hashes: Pick<FileHashes, 'hash'>,
  owners: boolean,
): Promise<string> {
  const { stat } = entry;
  const header = [
    stat.mode.toString(8),
    owners ? `${stat.uid}:${stat.gid}` : '',
    stat.isFile() ? stat.size.toString() : '',
    entry.link ?? '',
    stat.isBlockDevice() || stat.isCharacterDevice() ? stat.rdev.toString() : '',
    stat.isFile() ? await hashes.hash(entry.absolute, stat) : '',
    ...(stat.isSymbolicLink() ? [] : contentXattrs(entry.absolute)).map(
      ([name, value]) => `${name}=${value.toString('hex')}`,
    ),
  ];
  return createHash('sha256').update(JSON.stringify(header)).digest('hex');
}

/**
 * Digest of the trees at `tops` of a root, in that order.
 * @param owners whether owners count: for bind mounts they do.
 */
export async function digestTrees(
  root: RawPath,
  tops: readonly RawPath[],
  options: {
    readonly filter: PathFilter;
    readonly hashes: Pick<FileHashes, 'hash'>;
    readonly owners: boolean;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<TreeDigest> {
  const whole = createHash('sha256');
  const files: Record<string, string> = {};
  let count = 0;
  for (const top of tops) {
    for (const entry of walkTree(root, top, options.filter)) {
      if (entry.stat.isSocket()) continue;
      const digest = await fileDigest(entry, options.hashes, options.owners);
      whole.update(`${entry.path}\0${digest}\n`);
      if (count < namedFiles)
        files[text(entry.path === '' ? top : `${top}/${entry.path}`)] = digest.slice(0, 16);
      if (++count % 256 === 0) throwIfAborted(options.signal);
    }
    whole.update('\n');
  }
  return { digest: digestOf(whole.digest()), files };
}
