import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const unpacked = resolve(import.meta.dirname, '../../../../../.cache/erofs-utils');
/** The first release that takes blocks smaller than a page. */
const oldest = [1, 7] as const;

/** How to run a program of erofs-utils that knows blocks of 512 bytes, or why there is none. For tests. */
export function erofsProgram(name: 'fsck' | 'dump'): readonly string[] | { readonly missing: string } {
  const program = join(unpacked, 'usr/bin', `${name}.erofs`);
  if (existsSync(program)) {
    const triplet = execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim();
    const libraries = join(unpacked, `usr/lib/${triplet}-linux-gnu`);
    const loader = triplet === 'aarch64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2';
    return [join(libraries, loader), '--library-path', libraries, program];
  }
  const { stdout } = spawnSync(`${name}.erofs`, ['-V'], { encoding: 'utf8' });
  const [major, minor] = (/(\d+)\.(\d+)/.exec(stdout ?? '') ?? []).slice(1).map(Number);
  if (major === undefined || minor === undefined) return { missing: `no ${name}.erofs here` };
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return [`${name}.erofs`];
  return { missing: `${name}.erofs ${major}.${minor} is too old; scripts/setup --test gets a newer one` };
}
