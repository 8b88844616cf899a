import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import {
  type FsOption,
  fsOptionMaxBytes,
  inFolder,
  type MountAttributes,
  mount,
  mountFilesystem,
  mountFlags,
} from '../../../linux/index.ts';
import { linkFolder, linkName } from './layout.ts';

/** An overlay to mount. Paths are absolute; where they are too long, names relative to `base` are used. */
export interface OverlayMount {
  /** The driver's folder. */
  readonly base: string;
  /** Topmost first; no two of one id. */
  readonly lowers: readonly { readonly id: string; readonly path: string }[];
  readonly upper?: { readonly path: string; readonly work: string };
  readonly target: string;
  readonly attributes?: MountAttributes;
  /** Follows what an overlay mounted otherwise left in a layer: moved folders, and files without their bytes. No upper then. */
  readonly follow?: boolean;
}

/** The kernel's OVL_MAX_STACK; one more fails with EINVAL (measured on 6.18). */
const maxLowers = 500;

/**
 * `index` would tie an upper to the first lowers it met, though layers are shared and moved; `redirect_dir` and
 * `metacopy` would put into the upper what a tar cannot say. `xino` stays as the kernel has it, and `userxattr` is
 * only for mounts in a user namespace.
 */
const switches = ['index', 'redirect_dir', 'metacopy'] as const;

/** The switches this kernel knows (they came with 4.10, 4.13 and 4.19). */
export function offSwitches(): string[] {
  return switches.filter((name) => existsSync(`/sys/module/overlay/parameters/${name}`));
}

/** `metacopy=on` turns redirects on too, and may not be given with another word about them. */
function switchOptions({ follow }: OverlayMount): FsOption[] {
  if (follow)
    return [
      ['index', 'off'],
      ['metacopy', 'on'],
    ];
  return offSwitches().map((name) => [name, 'off'] as const);
}

let hasLowerPlus: boolean | undefined;

/**
 * Mounts an overlay: one option at a time where the kernel knows `lowerdir+` (6.8), else by mount(2) with relative
 * short names. Docs of the options: the kernel's filesystems/overlayfs.rst.
 * @throws VarveError `invalid` for more layers than the kernel takes.
 */
export function mountOverlay(overlay: OverlayMount): void {
  if (overlay.lowers.length > maxLowers) {
    throw new VarveError(
      'invalid',
      'TOO_MANY_LAYERS',
      `${overlay.lowers.length} layers are more than the ${maxLowers} that overlayfs can stack`,
      { hint: 'squash the image, or join RUN instructions' },
    );
  }
  if (hasLowerPlus === false) {
    mountByString(overlay);
    return;
  }
  try {
    mountByOptions(overlay);
    hasLowerPlus = true;
  } catch (error) {
    // Before 6.5 any option is taken, and only the whole is refused, without a word.
    if (hasLowerPlus || !VarveError.is(error) || !['ENOSYS', 'EINVAL'].includes(error.code)) throw error;
    if (!mountsByString(overlay)) throw error;
    hasLowerPlus = false;
  }
}

function mountsByString(overlay: OverlayMount): boolean {
  try {
    mountByString(overlay);
    return true;
  } catch {
    return false;
  }
}

export function mountByOptions(overlay: OverlayMount): void {
  const { base, target, attributes } = overlay;
  const isShort = (path: string): boolean => Buffer.byteLength(escapeBackslash(path)) <= fsOptionMaxBytes;
  const { lowers, upper } = overlay;
  const inFull = [...lowers.map(({ path }) => path), upper?.work ?? ''].every(isShort);
  const names = inFull ? fullNames(overlay) : shortNames(overlay);
  const options: FsOption[] = [['source', 'overlay'], ...switchOptions(overlay)];
  for (const lower of names.lowers) options.push(['lowerdir+', lower]);
  if (names.upper) options.push(['upperdir', names.upper.diff], ['workdir', names.upper.work]);
  const go = (): void => mountFilesystem('overlay', options, target, attributes);
  if (inFull) go();
  else inFolder(base, go);
}

/** mount(2) copies one page of options, its closing zero included. */
const pageBytes = 4096;

export function mountByString(overlay: OverlayMount): void {
  const { lowers, upper } = shortNames(overlay);
  const options = [
    ...switchOptions(overlay).map(([name, value]) => `${name}=${value}`),
    `lowerdir=${lowers.join(':')}`,
    ...(upper ? [`upperdir=${upper.diff}`, `workdir=${upper.work}`] : []),
  ].join(',');
  if (options.length >= pageBytes) {
    throw new VarveError(
      'invalid',
      'TOO_MANY_LAYERS',
      `the names of ${lowers.length} layers do not fit into the page of options that this kernel takes`,
      { hint: 'squash the image, or use Linux 6.8 or newer' },
    );
  }
  const flags = overlay.attributes?.readOnly ? mountFlags.readOnly : 0;
  inFolder(overlay.base, () => mount('overlay', overlay.target, 'overlay', flags, options));
}

interface Names {
  readonly lowers: readonly string[];
  readonly upper?: { readonly diff: string; readonly work: string };
}

/** The kernel unescapes the names of the upper and work folders, and not those of `lowerdir+`. */
function fullNames({ lowers, upper }: OverlayMount): Names {
  return {
    lowers: lowers.map(({ path }) => path),
    ...(upper ? { upper: { diff: escapeBackslash(upper.path), work: escapeBackslash(upper.work) } } : {}),
  };
}

/** Names relative to the driver's folder; the lowers' links are made when they are first needed. */
function shortNames({ base, lowers, upper }: OverlayMount): Names {
  mkdirSync(join(base, linkFolder), { recursive: true, mode: 0o700 });
  return {
    lowers: lowers.map(({ id, path }) => {
      const name = join(linkFolder, linkName(id));
      if (!existsSync(join(base, name))) {
        rmSync(join(base, name), { force: true });
        symlinkSync(relative(join(base, linkFolder), path), join(base, name));
      }
      return name;
    }),
    ...(upper ? { upper: { diff: relative(base, upper.path), work: relative(base, upper.work) } } : {}),
  };
}

const escapeBackslash = (path: string): string => path.replaceAll('\\', '\\\\');
