import type { ImageConfig } from '../oci/index.ts';

/**
 * The instruction that made each layer, bottom first: the history without what made no layer (OCI image spec, config.md
 * `history`). Where their numbers differ nothing can be said, and all are undefined.
 */
export function layerInstructions(config: ImageConfig): (string | undefined)[] {
  const made = (config.history ?? []).filter(({ empty_layer: empty }) => empty !== true);
  const count = config.rootfs.diff_ids.length;
  return Array.from({ length: count }, (_, index) =>
    made.length === count ? made[index]?.created_by : undefined,
  );
}
