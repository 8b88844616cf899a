import { existsSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { findProgram, growFilesystem, run } from '../../../linux/index.ts';
import type { PoolOptions, VolumeFilesystem } from './options.ts';
import type { BaseVolume } from './records.ts';
import type { ThinPool } from './thin-pool.ts';
import { withVolume } from './with-volume.ts';

/** Folder of {@link ThinPool.create} for the base. */
export const baseFolder = 'base';

/** Without discarding: a new volume has nothing. Inode tables and journal are not written, since new blocks read as zeros. */
const makers: Readonly<Record<VolumeFilesystem, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'nodiscard,lazy_itable_init=1,lazy_journal_init=1'],
  xfs: ['mkfs.xfs', '-q', '-f', '-K'],
};

/** The program that makes a file system. */
export function makerOf(filesystem: VolumeFilesystem): string {
  return makers[filesystem][0] ?? filesystem;
}

/** Makes the volume that every bottom layer starts from, or grows it to a raised dm.basesize. */
export async function ensureBase(pool: ThinPool, folder: string, options: PoolOptions): Promise<BaseVolume> {
  const { base } = pool.record;
  if (!base) return await makeBase(pool, folder, options);
  if (!options.growsBase || options.baseSize <= base.bytes) return base;
  const grown = { ...base, bytes: options.baseSize };
  await withVolume(pool, folder, { ...grown, options: options.mountOptions }, (root) =>
    growFilesystem(root, grown.bytes),
  );
  pool.setBase(grown);
  return grown;
}

async function makeBase(pool: ThinPool, folder: string, options: PoolOptions): Promise<BaseVolume> {
  const { filesystem, baseSize } = options;
  // Until the record names it, it is a volume that nobody has heard of.
  const volume = await pool.create(baseFolder, undefined, baseSize, () => undefined);
  const node = await pool.exclusive(() => pool.acquire(volume));
  try {
    await format(node.node, options);
  } finally {
    await pool.exclusive(() => pool.release(volume));
  }
  await withVolume(pool, folder, { ...volume, filesystem, options: options.mountOptions }, (root) => {
    // e2fsck(8) makes it again when it needs it; a layer's root is empty.
    if (existsSync(join(root, 'lost+found'))) rmdirSync(join(root, 'lost+found'));
  });
  const base = { ...volume, filesystem };
  pool.setBase(base);
  return base;
}

async function format(node: string, { filesystem, mkfsArguments }: PoolOptions): Promise<void> {
  const [program = '', ...fixed] = makers[filesystem];
  const { code, stderr } = await run(findProgram(program), [...fixed, ...mkfsArguments, node], {
    env: { LC_ALL: 'C' },
  });
  if (code === 0) return;
  throw new VarveError('internal', 'MKFS_FAILED', `${program} failed: ${stderr.toString().trim()}`, {
    subject: program,
    hint: 'see --storage-opt dm.mkfsarg and dm.basesize',
  });
}
