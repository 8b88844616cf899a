/*
 * AUFS's names in a branch (aufs(5), "Whiteout"). They are never shown, and cannot be made through the union.
 */

/** `.wh.NAME` deletes NAME from the branches below, and from its own. */
export const whiteoutPrefix = '.wh.';
/** In a folder: nothing of the branches below shows in it. */
export const opaqueName = '.wh..wh..opq';
/** At the root of a writable branch: the file that whiteouts are links of, pseudo-links, and files in the making. */
export const branchFiles = { base: '.wh..wh.aufs', links: '.wh..wh.plnk', orphans: '.wh..wh.orph' } as const;

/** True for names that mean something to AUFS itself. */
export function isReserved(name: string): boolean {
  return name.startsWith(whiteoutPrefix);
}

/** The name a whiteout deletes; undefined for AUFS's other files. */
export function whiteoutTarget(name: string): string | undefined {
  return name.startsWith('.wh..wh.') ? undefined : name.slice(whiteoutPrefix.length);
}

/** The bytes of a name that is kept one character a byte. */
export function bytes(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}
