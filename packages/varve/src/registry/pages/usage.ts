import { type Content, html } from './html.ts';
import { usageBar } from './parts.ts';
import type { PageSources } from './types.ts';

/**
 * What the quotas of a repository, or of a namespace and those around it, are used to; nothing where there is none.
 * @param options.inside `name` is a namespace, and quotas of repositories are none of its
 */
export async function quotaOf(
  { metadata, quota }: PageSources,
  name: string,
  options: { readonly inside: boolean },
): Promise<Content> {
  const limits = quota.limitsOf(name).filter(({ scope }) => !options.inside || scope === 'namespace');
  if (limits.length === 0) return undefined;
  const bars = await Promise.all(
    limits.map(
      async (limit) => html`<li>${usageBar(limit, await metadata.usedBytes(limit.scope, limit.name))}</li>`,
    ),
  );
  return html`<ul class="plain" aria-label="Quotas">${bars}</ul>`;
}
