import { mkdtempSync, rmSync } from 'node:fs';

let folder: string | undefined;

/** Environment for child processes of a test, with a cache of compiled modules: most of what a new process costs. */
export function childEnvironment(): NodeJS.ProcessEnv {
  if (folder === undefined) {
    const made = mkdtempSync('/var/tmp/varve-compile-cache-');
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return { ...process.env, NODE_COMPILE_CACHE: folder };
}
