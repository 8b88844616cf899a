import { readFileSync } from 'node:fs';

/** The package's version; the bundle has it built in. */
export const versionText: string =
  process.env['VARVE_VERSION'] ??
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;
