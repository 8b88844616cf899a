/** What a finding is about. */
export type FindingPart = 'blob' | 'image' | 'layer' | 'container' | 'volume' | 'leak' | 'leftover';

/** The kinds of findings, with what each is about, and what an administrator can do who does not want `--repair`. */
const findingKinds = {
  'blob-missing': { part: 'blob', todo: 'pull or load the image again' },
  'blob-corrupt': { part: 'blob', todo: 'pull or load the image again' },
  'blob-unrecorded': { part: 'blob', todo: 'it is taken up at the next start' },
  'image-record-unreadable': { part: 'image', todo: 'pull or load the image again' },
  'image-config-missing': { part: 'image', todo: 'pull or load the image again' },
  'layer-record-missing': { part: 'image', todo: 'pull or load the image again' },
  'layer-missing': { part: 'layer', todo: 'it is unpacked again when the image is next used' },
  'layer-damaged': { part: 'layer', todo: 'remove the image and pull it again' },
  'layer-parent-missing': { part: 'layer', todo: 'pull the image again' },
  'layer-orphan': { part: 'layer', todo: 'image prune removes it' },
  'snapshot-record-unreadable': { part: 'layer', todo: 'remove its folder' },
  'snapshot-orphan': { part: 'layer', todo: 'it is removed at the next start' },
  'container-record-unreadable': { part: 'container', todo: 'make the container anew' },
  'container-layer-missing': { part: 'container', todo: 'remove the container and make it anew' },
  'container-image-missing': { part: 'container', todo: 'pull its image again' },
  'container-folder-missing': { part: 'container', todo: 'its log is lost; nothing else is' },
  'container-folder-orphan': { part: 'container', todo: 'it is removed at the next start' },
  'container-bundle-missing': { part: 'container', todo: 'restart the container' },
  'volume-record-unreadable': { part: 'volume', todo: 'its labels and options are lost, its files are not' },
  'volume-folder-missing': { part: 'volume', todo: 'remove the volume' },
  'volume-unrecorded': { part: 'volume', todo: 'create a volume of that name' },
  'volume-foreign': { part: 'volume', todo: 'move it elsewhere' },
  'mount-leaked': { part: 'leak', todo: 'unmount it' },
  'loop-leaked': { part: 'leak', todo: 'detach it with losetup -d' },
  'endpoint-leaked': { part: 'leak', todo: 'it is removed at the next start' },
  'device-leaked': { part: 'leak', todo: 'delete it with ip link delete' },
  'namespace-leaked': { part: 'leak', todo: 'it is removed at the next start' },
  leftover: { part: 'leftover', todo: 'it is removed at the next start' },
} as const satisfies Record<string, { readonly part: FindingPart; readonly todo: string }>;

export type FindingKind = keyof typeof findingKinds;

/** What was done about a finding. */
export interface Repair {
  readonly action: 'pulled' | 'made anew' | 'set aside' | 'removed' | 'recorded' | 'failed';
  /** Where to, from where, or why not. */
  readonly detail: string;
}

/** Something that is not as it should be. */
export interface Finding {
  readonly kind: FindingKind;
  readonly part: FindingPart;
  /** Digest, ChainID, id, name or path. */
  readonly subject: string;
  readonly problem: string;
  readonly todo: string;
  /** Ids of the images that suffer from it. */
  readonly images?: readonly string[];
  readonly repair?: Repair;
}

/** A finding of a kind. */
export function finding(
  kind: FindingKind,
  subject: string,
  problem: string,
  images: readonly string[] = [],
): Finding {
  return { kind, subject, problem, ...findingKinds[kind], ...(images.length > 0 ? { images } : {}) };
}

/** How far a check is. */
export interface CheckProgress {
  readonly step: 'blobs' | 'layers' | 'records' | 'repair';
  readonly subject: string;
  readonly done: number;
  readonly total: number;
}

export interface CheckOptions {
  readonly repair?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CheckProgress) => void;
}
