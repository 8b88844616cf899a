import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = new URL('../../../../', import.meta.url).pathname;

/** The command in one file, as its users get it. */
export interface Bundle extends Disposable {
  readonly entry: string;
}

/** Bundles the sources into a folder of its own, from which the packages that are not bundled are found. */
export function bundle(): Bundle {
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'varve-'));
  execFileSync(process.execPath, [join(root, 'scripts/build.ts'), '--outdir', folder], { stdio: 'inherit' });
  return {
    entry: join(folder, 'varve.mjs'),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
