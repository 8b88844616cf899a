import { formatBinaryBytes } from '../../base/index.ts';
import type { QuotaLimit } from '../metadata/index.ts';
import { type Content, type Html, html } from './html.ts';

/** A table that scrolls by itself where the page is narrower: by keyboard, too. */
export function table(caption: string, heads: readonly (string | Html)[], rows: readonly Html[]): Html {
  const cells = heads.map((head) => (typeof head === 'string' ? html`<th scope="col">${head}</th>` : head));
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${cells}</tr></thead>
<tbody>
${rows}
</tbody>
</table></div>`;
}

/** The head of a column of numbers. */
export function numbers(text: string): Html {
  return html`<th scope="col" class="number">${text}</th>`;
}

/** Bytes for people; the exact number shows on hovering. */
export function size(bytes: number | undefined): Content {
  if (bytes === undefined) return html`<span class="dim">–</span>`;
  return html`<span title="${bytes} bytes">${formatBinaryBytes(bytes)}</span>`;
}

/** A time, to the minute, in UTC: the server does not know where its reader is. */
export function time(at: number | undefined): Content {
  if (at === undefined || !Number.isFinite(at) || Math.abs(at) > 8.64e15)
    return html`<span class="dim">–</span>`;
  const iso = new Date(at).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')}</time>`;
}

/** The beginning of a digest, enough to compare by eye. */
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(':');
  return digest.slice(0, colon + 13);
}

/** Terms with what they are; those without a value are left out. */
export function facts(pairs: readonly (readonly [string, Content])[]): Html {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== false && value !== '');
  return html`<dl>${shown.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`;
}

/** How much of a quota is used, in words and as a bar. */
export function usageBar({ scope, name, bytes }: QuotaLimit, used: number): Html {
  const share = bytes === 0 ? 100 : Math.min(100, (used / bytes) * 100);
  const percent = Math.round(share);
  const kind = used >= bytes ? 'over' : 'used';
  return html`<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
<rect class="all" width="100" height="6"></rect><rect class="${kind}" width="${share.toFixed(1)}" height="6"></rect>
</svg> ${size(used)} of ${size(bytes)} (${percent} %) of the quota of ${scope} ${name}`;
}

export function problem(text: string): Html {
  return html`<p class="problem">${text}</p>`;
}

export function note(content: Content): Html {
  return html`<p class="note">${content}</p>`;
}

/** A link to the next page, where there is one. */
export function nextPage(link: string | undefined, text = 'Next page'): Content {
  return (
    link !== undefined && html`<p class="actions"><a class="button" rel="next" href="${link}">${text}</a></p>`
  );
}
