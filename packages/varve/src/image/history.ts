import type { DiffID, Digest, ImageConfig } from '../oci/index.ts';
import type { HistoryItem, StoredLayer } from './types.ts';

/** The image's own ancestors as far as they are in the store: id and tags of each, by the DiffIDs and history length they have. */
export interface KnownAncestor {
  readonly id: Digest;
  readonly historyLength: number;
  readonly tags: readonly string[];
}

/**
 * Lines of `docker history`, newest first. Layers are given to the entries that are not `empty_layer`, in order
 * (OCI image spec, config.md `history`); entries or layers left over get a line of their own.
 */
export function historyItems(
  id: Digest,
  config: ImageConfig,
  layer: (diffId: DiffID) => StoredLayer | undefined,
  ancestors: readonly KnownAncestor[],
  tags: readonly string[],
): HistoryItem[] {
  const rest = [...config.rootfs.diff_ids];
  const known = new Map(ancestors.map((ancestor) => [ancestor.historyLength, ancestor]));
  const items: HistoryItem[] = [];
  for (const [index, entry] of (config.history ?? []).entries()) {
    const diffId = entry.empty_layer === true ? undefined : rest.shift();
    const stored = diffId === undefined ? undefined : layer(diffId);
    const ancestor = known.get(index + 1);
    items.push({
      id: ancestor?.id ?? '<missing>',
      created: entry.created === undefined ? 0 : Date.parse(entry.created),
      createdBy: entry.created_by ?? '',
      size: stored?.size ?? 0,
      comment: entry.comment ?? '',
      tags: ancestor?.tags ?? [],
      layer: stored,
    });
  }
  for (const diffId of rest) {
    const stored = layer(diffId);
    items.push({
      id: '<missing>',
      created: 0,
      createdBy: '',
      size: stored?.size ?? 0,
      comment: '',
      tags: [],
      layer: stored,
    });
  }
  const top = items.at(-1);
  if (top) items[items.length - 1] = { ...top, id, tags };
  return items.reverse();
}
