import type { Engine } from '../../engine/index.ts';
import type { HistoryItem, LocalImage } from '../../image/index.ts';
import { familiarReference, parseReference } from '../../oci/index.ts';
import { type ApiVersion, since } from '../versions.ts';

/** References as Docker shows them: `app:latest`, `app@sha256:…`. */
export function familiar(references: readonly string[]): string[] {
  return references.map((reference) => familiarReference(parseReference(reference)));
}

function seconds(rfc3339: string | undefined): number {
  const milliseconds = Date.parse(rfc3339 ?? '');
  return Number.isNaN(milliseconds) ? 0 : Math.floor(milliseconds / 1000);
}

/** One entry of `GET /images/json`. */
export function imageSummary(
  image: LocalImage,
  version: ApiVersion,
  extra: { readonly sharedBytes?: number; readonly containers?: number; readonly diskBytes?: number } = {},
): Record<string, unknown> {
  const tags = familiar(image.tags);
  const digests = familiar(image.digests);
  const none = version < since.emptyRepoTags;
  return {
    Id: image.id,
    ParentId: image.parent ?? '',
    RepoTags: tags.length === 0 && none ? ['<none>:<none>'] : tags,
    RepoDigests: digests.length === 0 && none ? ['<none>@<none>'] : digests,
    Created: seconds(image.config.created),
    Size: extra.diskBytes ?? image.size,
    SharedSize: extra.sharedBytes ?? -1,
    ...(version < since.dnsNames ? { VirtualSize: extra.diskBytes ?? image.size } : {}),
    Labels: image.config.config?.Labels ?? null,
    Containers: extra.containers ?? -1,
  };
}

/** `GET /images/{name}/json`. */
export function imageInspect(
  engine: Engine,
  image: LocalImage,
  version: ApiVersion,
): Record<string, unknown> {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: familiar(image.tags),
    RepoDigests: familiar(image.digests),
    Parent: image.parent ?? '',
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created ?? '',
    DockerVersion: '',
    Author: config.author ?? '',
    Config: config.config ?? {},
    Architecture: config.architecture,
    ...(config.variant ? { Variant: config.variant } : {}),
    Os: config.os,
    ...(config['os.version'] ? { OsVersion: config['os.version'] } : {}),
    Size: image.size,
    ...(version < since.dnsNames ? { VirtualSize: image.size } : {}),
    GraphDriver: { Data: null, Name: engine.core.driver.name },
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Metadata: {
      LastTagTime:
        image.lastTaggedAt === undefined
          ? '0001-01-01T00:00:00Z'
          : new Date(image.lastTaggedAt).toISOString(),
    },
  };
}

/** One entry of `GET /images/{name}/history`. */
export function historyView(item: HistoryItem): Record<string, unknown> {
  return {
    Id: item.id,
    Created: Math.floor(item.created / 1000),
    CreatedBy: item.createdBy,
    Tags: item.tags.length > 0 ? familiar(item.tags) : null,
    Size: item.size,
    Comment: item.comment,
  };
}
