import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../../base/index.ts';

const keyBytes = 32;

/** What sessions are signed with: made of the secret, or kept in a file of mode 0600 that is made with the first start. */
export function sessionKey(secret: string | undefined, path: string): Uint8Array {
  if (secret !== undefined) return createHash('sha256').update(`varve sessions ${secret}`).digest();
  try {
    const key = readFileSync(path);
    if (key.length === keyBytes) return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const key = randomBytes(keyBytes);
  writeFileAtomic(path, key, { mode: 0o600 });
  return key;
}
