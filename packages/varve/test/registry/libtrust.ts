import { execFileSync } from 'node:child_process';
import { createHash, type KeyObject } from 'node:crypto';

/** docker/libtrust's key id, made with coreutils' base32 and not with the code under test. */
export function libtrustFingerprint(key: KeyObject): string {
  const hash = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  const text = execFileSync('base32', ['-w0'], { input: hash.subarray(0, 30), encoding: 'utf8' });
  return Array.from({ length: 12 }, (_, index) => text.slice(index * 4, index * 4 + 4)).join(':');
}
