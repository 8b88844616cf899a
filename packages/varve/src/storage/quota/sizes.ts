import { VarveError } from '../../base/index.ts';
import { FilesystemSync, filesystemName, unmountInBackground } from '../../linux/index.ts';
import { imagePaths, isImageMounted, makeImage, mountImage } from './image.ts';
import { Projects } from './projects.ts';

/** Lets what will be in some empty folders take no more, together, than was asked for. */
export type Limit = (folders: readonly string[]) => void;

/** How a writable layer that is being made is kept to its size. */
export interface Limited {
  /** Folder for the layer's files. */
  readonly own: string;
  readonly limit: Limit;
  /** True when `own` is an image's root. */
  readonly image: boolean;
}

/**
 * Keeps writable layers to a size, whatever the driver: by project quota where the file system enforces it, else by giving
 * the layer a file system of its own in a file.
 */
export class Sizes {
  readonly #projects = new Projects();

  /**
   * Does something in an empty folder that is to be limited; what it leaves there is on disk then.
   * @param staging folder on the driver's file system.
   * @throws VarveError `not-implemented` that says why where neither way works.
   */
  async within(
    staging: string,
    size: number | undefined,
    work: (limited: Limited) => Promise<void>,
  ): Promise<{ readonly image: boolean }> {
    if (size === undefined || Projects.areEnforced(staging)) {
      const limit: Limit = (folders) => {
        if (size !== undefined) this.#projects.limit(folders, size);
      };
      await work({ own: staging, limit, image: false });
      return { image: false };
    }
    await openImage(staging, size);
    const { root } = imagePaths(staging);
    try {
      await work({ own: root, limit: () => undefined, image: true });
      using filesystem = new FilesystemSync(root);
      await filesystem.sync();
    } finally {
      await unmountInBackground(root, { detach: true });
    }
    return { image: true };
  }
}

async function openImage(staging: string, size: number): Promise<void> {
  try {
    await makeImage(staging, size);
    mountImage(staging);
  } catch (error) {
    const { kind, message } = VarveError.from(error);
    if (kind === 'exhausted') throw error;
    const disk = filesystemName(staging);
    throw new VarveError(
      'not-implemented',
      'STORAGE_OPT_UNSUPPORTED',
      `--storage-opt size cannot be kept here: ${disk} enforces no project quota, and an image file cannot be mounted: ${message}`,
      {
        hint: 'mount the data root with prjquota, or start the container without --storage-opt',
        cause: error,
      },
    );
  }
}

/** The mount of a snapshot's image, for those who look into it. */
export function imageMount(snapshot: string) {
  return {
    target: imagePaths(snapshot).root,
    isMounted: () => isImageMounted(snapshot),
    mount: () => mountImage(snapshot),
  };
}
