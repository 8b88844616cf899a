import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../base/index.ts';

/** Where the runtime works by plain paths on the host before it enters the root. */
const places = ['dev', 'proc', 'sys'] as const;

/**
 * Checks that these are folders of the image or missing. Behind a link at /dev, Debian's runc (1.1.5, setupPtmx and
 * setupDevSymlinks) removes and makes files of the host: it joins root and name, and the host's kernel follows.
 * @throws VarveError `invalid` for a link or a file.
 */
export function checkMountPlaces(rootfs: string): void {
  for (const place of places) {
    const stat = lstatSync(join(rootfs, place), { throwIfNoEntry: false });
    if (stat === undefined || stat.isDirectory()) continue;
    throw new VarveError(
      'invalid',
      'BAD_MOUNT_PLACE',
      `"/${place}" of the image is no ordinary folder, and nothing can be mounted there`,
      { subject: `/${place}` },
    );
  }
}
