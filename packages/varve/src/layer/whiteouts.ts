import { layerError } from './errors.ts';
import type { BytePath } from './names.ts';

/** OCI image spec, layer.md#whiteouts. */
export const whiteoutPrefix = '.wh.';
/** AUFS's own files; of these only the opaque mark means something in a layer. */
export const whiteoutMetaPrefix = '.wh..wh.';
export const opaqueName = '.wh..wh..opq';

/** Attributes of overlayfs, which an image must not set by itself. linux Documentation/filesystems/overlayfs.rst */
export const overlayXattrs = {
  trusted: 'trusted.overlay.',
  user: 'user.overlay.',
  opaque: 'trusted.overlay.opaque',
  userOpaque: 'user.overlay.opaque',
  redirect: 'trusted.overlay.redirect',
  metacopy: 'trusted.overlay.metacopy',
  /** Where the kernel keeps a nested overlay's attributes (Linux 6.7). */
  escaped: 'trusted.overlay.overlay.',
} as const;

const localXattrs = /^(?:security\.(?:selinux|evm|ima|apparmor|SMACK64.*)|system\.nfs4.*|btrfs\..*)$/;

/** True for attributes of this machine's security modules and of its file system: they mean nothing on another. */
export function isLocalXattr(name: Buffer): boolean {
  return localXattrs.test(name.toString('latin1'));
}

/** What a name in a layer says. */
export type LayerName =
  | { readonly kind: 'entry' }
  /** `name` of the same folder is deleted from the layers below. */
  | { readonly kind: 'whiteout'; readonly name: string }
  /** Nothing of the layers below shows in this folder. */
  | { readonly kind: 'opaque' }
  /** Left by AUFS; skipped. */
  | { readonly kind: 'metadata' };

const entry: LayerName = { kind: 'entry' };

/**
 * Reads the last part of a path for whiteouts.
 * @throws VarveError TAR_BAD_WHITEOUT when it would delete the folder itself or its parent (`.wh..`, `.wh...`).
 */
export function readLayerName(base: string, path: BytePath): LayerName {
  if (!base.startsWith(whiteoutPrefix)) return entry;
  if (base === opaqueName) return { kind: 'opaque' };
  if (base.startsWith(whiteoutMetaPrefix)) return { kind: 'metadata' };
  const name = base.slice(whiteoutPrefix.length);
  if (name === '' || name === '.' || name === '..') {
    throw layerError('TAR_BAD_WHITEOUT', 'a whiteout of a folder by itself', Buffer.from(path, 'latin1'));
  }
  return { kind: 'whiteout', name };
}

/** True for a path below AUFS's own folders. @throws VarveError TAR_BAD_WHITEOUT for `.wh.../x` and the like. */
export function isMetadataPath(parent: BytePath): boolean {
  if (!parent.includes(whiteoutPrefix)) return false;
  for (const part of parent.split('/')) {
    if (part.startsWith(whiteoutMetaPrefix)) return true;
    if (part === '.wh.' || part === '.wh..' || part === '.wh...') {
      throw layerError('TAR_BAD_WHITEOUT', 'a whiteout used as a folder', Buffer.from(parent, 'latin1'));
    }
  }
  return false;
}
