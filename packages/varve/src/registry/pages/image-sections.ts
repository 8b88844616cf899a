import { type Descriptor, type Digest, formatPlatform, type ImageConfig } from '../../oci/index.ts';
import { type HistoryRow, joinHistory, maxHistoryRows } from './history.ts';
import { type Content, cut, type Html, html } from './html.ts';
import { blobLink } from './links.ts';
import type { Manifests, ReadManifest } from './manifests.ts';
import { facts, note, numbers, problem, shortDigest, size, table } from './parts.ts';
import type { PageSources } from './types.ts';

const maxListed = 200;
const maxTextLength = 2000;
/** Layers that others are looked for with: each is a look-up. */
const maxSharedLookups = 200;

/** Facts of the config, how the image was made, and its layers. */
export async function imageSections(
  sources: PageSources,
  repository: string,
  { parsed, digest }: ReadManifest,
  manifests: Manifests,
): Promise<Content> {
  if (parsed?.kind !== 'manifest') return undefined;
  const { config: descriptor, layers } = parsed.document;
  const read = await manifests.config(descriptor);
  const shared = await sharedWith(sources, repository, digest, layers);
  if ('problem' in read) {
    const { rows } = joinHistory([], layers);
    return html`${note(`${cut(read.problem, 500)}.`)}${layerTable('Layers', repository, rows, shared)}`;
  }
  const { rows, problem: uneven } = joinHistory(read.config.history ?? [], layers);
  return html`${configFacts(read.config)}
${uneven !== undefined && problem(`The config does not fit the manifest: ${uneven}.`)}
${layerTable('How it was made', repository, rows, shared)}`;
}

function configFacts({ created, author, config = {}, ...platform }: ImageConfig): Html {
  const words = (list: readonly string[] | null | undefined): Content =>
    (list?.length ?? 0) > 0 && html`<code>${cut(JSON.stringify(list), maxTextLength)}</code>`;
  const ports = Object.keys(config.ExposedPorts ?? {});
  const volumes = Object.keys(config.Volumes ?? {});
  return html`<h2>Config</h2>${facts([
    ['Platform', cut(formatPlatform(platform), 200)],
    ['Created', created && cut(created, 60)],
    ['Author', author && cut(author, maxTextLength)],
    ['Entrypoint', words(config.Entrypoint)],
    ['Command', words(config.Cmd)],
    ['User', config.User && cut(config.User, maxTextLength)],
    ['Working folder', config.WorkingDir && cut(config.WorkingDir, maxTextLength)],
    ['Ports', ports.length > 0 && cut(ports.slice(0, maxListed).join(', '), maxTextLength)],
    ['Volumes', volumes.length > 0 && cut(volumes.slice(0, maxListed).join(', '), maxTextLength)],
    ['Health check', words(config.Healthcheck?.Test)],
    ['Stop signal', config.StopSignal && cut(config.StopSignal, 60)],
    ['Environment', listOf(config.Env ?? [])],
  ])}${pairs('Labels', config.Labels)}`;
}

/** The annotations of a manifest or an index. */
export function annotationFacts(annotations: Readonly<Record<string, string>> | undefined): Content {
  return pairs('Annotations', annotations);
}

function pairs(title: string, map: Readonly<Record<string, string>> | undefined): Content {
  const entries = Object.entries(map ?? {});
  if (entries.length === 0) return undefined;
  const rows = entries
    .slice(0, maxListed)
    .map(
      ([key, value]) =>
        html`<tr><th scope="row">${cut(key, 300)}</th><td class="wide">${cut(value, maxTextLength)}</td></tr>\n`,
    );
  const left = entries.length - rows.length;
  return html`<h2>${title}</h2>${table(title, ['Name', 'Value'], rows)}${left > 0 && html`<p>And ${left} more.</p>`}`;
}

function listOf(items: readonly string[]): Content {
  if (items.length === 0) return undefined;
  const left = items.length - maxListed;
  const shown = items.slice(0, maxListed).map((item) => html`<code>${cut(item, maxTextLength)}</code><br>`);
  return html`${shown}${left > 0 && `and ${left} more`}`;
}

function layerTable(
  title: string,
  repository: string,
  rows: readonly HistoryRow[],
  shared: ReadonlyMap<Digest, number>,
): Html {
  if (rows.length === 0) return html`<h2>${title}</h2>${note('It has no layers.')}`;
  const layers = new Map(rows.flatMap(({ layer }) => (layer ? [[layer.digest, layer.size] as const] : [])));
  const sum = (digests: Iterable<Digest>): number =>
    [...digests].reduce((total, digest) => total + (layers.get(digest) ?? 0), 0);
  const common = [...layers.keys()].filter((digest) => (shared.get(digest) ?? 0) > 0);
  const shown = rows.slice(0, maxHistoryRows);
  const heads = [numbers('Layer'), 'Instruction', numbers('Size'), 'Digest', 'Also in'];
  return html`<h2>${title}</h2>
<p>${layers.size} ${layers.size === 1 ? 'layer' : 'layers'}, ${size(sum(layers.keys()))};
${common.length === 0 ? 'none is' : html`${common.length} (${size(sum(common))}) are`} shared with other manifests of this repository.</p>
${table(
  'Instructions with the layers that they made',
  heads,
  shown.map((row) => layerRow(repository, row, shared)),
)}
${rows.length > shown.length && html`<p>And ${rows.length - shown.length} more.</p>`}`;
}

function layerRow(
  repository: string,
  { instruction, comment, layer, number }: HistoryRow,
  shared: ReadonlyMap<Digest, number>,
): Html {
  const text = instruction ?? '';
  const words = html`${text === '' ? html`<span class="dim">no instruction is recorded</span>` : html`<code>${cut(text, maxTextLength)}</code>`}
${comment !== undefined && comment !== '' && html`<br><span class="dim">${cut(comment, 300)}</span>`}`;
  if (!layer) {
    return html`<tr class="empty"><td class="number">–</td><td class="wide">${words}</td><td class="number">empty</td><td>–</td><td>–</td></tr>\n`;
  }
  const others = shared.get(layer.digest) ?? 0;
  return html`<tr id="layer-${number}"><td class="number">${number}</td><td class="wide">${words}</td><td class="number">${size(layer.size)}</td>
<td class="digest"><a href="${blobLink(repository, layer.digest)}" title="${layer.digest}">${shortDigest(layer.digest)}</a></td>
<td>${others === 0 ? '–' : `${others}${others >= 99 ? '+' : ''} more`}</td></tr>\n`;
}

/** How many other manifests of the repository have each layer. */
async function sharedWith(
  { metadata }: PageSources,
  repository: string,
  own: Digest,
  layers: readonly Descriptor[],
): Promise<ReadonlyMap<Digest, number>> {
  const shared = new Map<Digest, number>();
  for (const { digest } of layers.slice(0, maxSharedLookups)) {
    if (shared.has(digest)) continue;
    const holders = await metadata.manifestsOfBlob(repository, digest);
    shared.set(digest, holders.filter((holder) => holder !== own).length);
  }
  return shared;
}
