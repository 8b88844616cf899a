/** Compares passwords with bcrypt hashes in a thread of its own: a comparison is some 60 ms of computing. */
import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';

parentPort?.on('message', ({ id, password, hash }: { id: number; password: string; hash: string }) => {
  let matches = false;
  try {
    matches = compareSync(password, hash);
  } catch {
    // A hash that bcrypt does not take matches nothing.
  }
  parentPort?.postMessage({ id, matches });
});
