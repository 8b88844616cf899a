import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { VarveError } from '../../../base/index.ts';

/**
 * Holds a root for one server: an exclusive transaction on an empty SQLite file, which is an fcntl(2) lock on every
 * system and ends with the process, however that ends.
 * @throws VarveError `conflict` when another server has it.
 */
export function lockRoot(root: string): Disposable {
  mkdirSync(root, { recursive: true, mode: 0o750 });
  const database = new DatabaseSync(join(root, 'lock'));
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw new VarveError('conflict', 'ROOT_IN_USE', `another registry uses "${root}"`, {
      subject: root,
      hint: 'stop it, or set storage.filesystem.rootdirectory to another folder',
      cause: error,
    });
  }
  return { [Symbol.dispose]: () => database.close() };
}
