import { type Descriptor, type Digest, formatPlatform, type Index } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { TagRecord } from '../metadata/index.ts';
import { justBefore } from '../names.ts';
import { type Content, cut, type Html, html } from './html.ts';
import { annotationFacts, imageSections } from './image-sections.ts';
import { type PageContent, trailTo } from './layout.ts';
import { manifestLink, withQuery } from './links.ts';
import { Manifests, type ReadManifest } from './manifests.ts';
import { facts, nextPage, note, numbers, problem, size, table, time } from './parts.ts';
import { digestLink } from './repository-page.ts';
import type { PageRequest, PageSources } from './types.ts';

/** Manifests read for one page: enough for the platforms of every usual index. */
const readsPerPage = 200;
const referrersPerPage = 50;
const maxParents = 20;
const hostPattern = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

/** What a page is about: a tag with what it points at, or a manifest. */
export interface Subject {
  readonly repository: string;
  readonly tag: TagRecord | undefined;
  readonly digest: Digest;
}

/** `/ui/r/…/tags/<tag>` and `/ui/r/…/manifests/<digest>`. */
export async function manifestPage(
  request: PageRequest,
  sources: PageSources,
  path: { readonly repository: string; readonly tag?: string; readonly digest?: Digest },
): Promise<PageContent> {
  const { repository } = path;
  await request.viewer.require({ type: 'repository', name: repository }, 'pull');
  const subject = await findSubject(sources, path);
  const { tag, digest } = subject;
  const manifests = new Manifests(sources, repository, readsPerPage);
  const manifest = await manifests.read(digest);
  if (!manifest) throw unknown(repository, digest);
  const reference = tag ? `${repository}:${tag.name}` : `${repository}@${digest}`;
  return {
    title: reference,
    trail: trailTo(repository, { inside: true }),
    main: html`${await summary(sources, subject, manifest, manifests)}
${pullCommand(request, reference)}
${await contents(sources, repository, manifest, manifests)}
${await referrers(request, sources, repository, digest)}
${await deleteLink(request, sources, subject)}`,
  };
}

/** @throws RegistryError `MANIFEST_UNKNOWN` */
export async function findSubject(
  { metadata }: PageSources,
  path: { readonly repository: string; readonly tag?: string; readonly digest?: Digest },
): Promise<Subject> {
  const { repository, tag, digest } = path;
  if (tag === undefined) {
    if (digest !== undefined && (await metadata.manifestByDigest(repository, digest))) {
      return { repository, tag: undefined, digest };
    }
    throw unknown(repository, digest ?? '');
  }
  const [record] = await metadata.tagRecords(repository, { after: justBefore(tag), limit: 1 });
  if (record?.name !== tag) throw unknown(repository, tag);
  return { repository, tag: record, digest: record.digest };
}

function unknown(repository: string, reference: string): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', { message: `${repository} has no ${reference}` });
}

async function summary(
  { metadata, immutableTags }: PageSources,
  { repository, tag, digest }: Subject,
  manifest: ReadManifest,
  manifests: Manifests,
): Promise<Html> {
  const parents = await metadata.indexesOf(repository, digest, maxParents);
  const total = await manifests.totalBytes(manifest);
  const { document } = manifest.parsed ?? {};
  const immutable = tag && immutableTags(repository)?.(tag.name);
  return facts([
    ['Digest', html`<a class="mono" href="${manifestLink(repository, digest)}">${digest}</a>`],
    ['Media type', manifest.mediaType],
    ['Artifact type', cut(document?.artifactType ?? '', 255)],
    ['Pushed (UTC)', tag && time(tag.updatedAt)],
    ['Last pulled (UTC)', tag && time(tag.pulledAt)],
    ['Manifest', size(manifest.size)],
    ['In total', size(total)],
    ['Subject', document?.subject && digestLink(repository, document.subject.digest)],
    [
      'In indexes',
      parents.length > 0 && html`${parents.map((each) => html`${digestLink(repository, each)} `)}`,
    ],
    ['Tag', immutable && 'immutable: it never points elsewhere, and stays'],
  ]);
}

function pullCommand({ asking }: PageRequest, reference: string): Content {
  const { host = '' } = asking.headers;
  if (!hostPattern.test(host)) return undefined;
  return html`<p><label for="pull">Pull</label>
<input id="pull" readonly value="docker pull ${host}/${reference}"></p>`;
}

async function contents(
  sources: PageSources,
  repository: string,
  manifest: ReadManifest,
  manifests: Manifests,
): Promise<Content> {
  const { parsed } = manifest;
  if (!parsed) {
    return problem(
      `This manifest cannot be shown: ${cut(manifest.problem ?? 'it is of another type', 500)}.`,
    );
  }
  const annotations = annotationFacts(parsed.document.annotations);
  if (parsed.kind === 'manifest') {
    return html`${annotations}${await imageSections(sources, repository, manifest, manifests)}`;
  }
  return html`${annotations}${await platforms(repository, parsed.document, manifests)}`;
}

async function platforms(repository: string, index: Index, manifests: Manifests): Promise<Html> {
  const shown = index.manifests.slice(0, 1000);
  const rows: Html[] = [];
  for (const child of shown) rows.push(await platformRow(repository, child, manifests));
  const left = index.manifests.length - shown.length;
  return html`<h2>Platforms</h2>
${rows.length > 0 ? table('Manifests of this index', ['Platform', 'Digest', 'Type', numbers('Size')], rows) : note('The index is empty.')}
${left > 0 && html`<p>And ${left} more.</p>`}`;
}

async function platformRow(repository: string, child: Descriptor, manifests: Manifests): Promise<Html> {
  const { platform, digest, mediaType, annotations } = child;
  const found = await manifests.read(digest);
  const attestation = annotations?.['vnd.docker.reference.type'];
  const name = attestation ?? (platform ? formatPlatform(platform) : 'any');
  const cell =
    found || manifests.exhausted
      ? html`<a href="${manifestLink(repository, digest)}">${cut(name, 100)}</a>`
      : html`${cut(name, 100)} <span class="badge">not here</span>`;
  return html`<tr><th scope="row">${cell}</th><td class="digest">${digest.slice(0, 19)}</td>
<td class="wide">${cut(child.artifactType ?? mediaType, 255)}</td><td class="number">${size(found?.totalBytes)}</td></tr>\n`;
}

async function referrers(
  request: PageRequest,
  { metadata }: PageSources,
  repository: string,
  digest: Digest,
): Promise<Content> {
  const after = request.query.get('referrer')?.slice(0, 200);
  const found = await metadata.referrers(repository, digest, { after, limit: referrersPerPage + 1 });
  if (found.length === 0) return undefined;
  const shown = found.slice(0, referrersPerPage);
  const rows = shown.map(
    ({ digest: own, artifactType, mediaType, size: bytes, annotations }) => html`<tr>
<th scope="row">${digestLink(repository, own)}</th><td class="wide">${kindOf(artifactType ?? mediaType)}</td>
<td>${cut(annotations?.['org.opencontainers.image.created'] ?? '–', 40)}</td><td class="number">${size(bytes)}</td></tr>\n`,
  );
  const last = shown.at(-1)?.digest;
  const more = found.length > shown.length && last !== undefined;
  return html`<h2>Referrers</h2>
${table('Signatures, SBOMs and whatever else names this manifest as its subject', ['Digest', 'Type', 'Created', numbers('Manifest')], rows)}
${nextPage(more ? withQuery(request.path, { referrer: last }) : undefined, 'More referrers')}`;
}

const kinds: readonly (readonly [RegExp, string])[] = [
  [/cosign|sigstore|notary.*signature/i, 'signature'],
  [/spdx|cyclonedx|syft/i, 'SBOM'],
  [/in-toto|slsa/i, 'attestation'],
];

/** The type as it stands, with a word for those that are well known. */
function kindOf(type: string): Html {
  const [, word] = kinds.find(([pattern]) => pattern.test(type)) ?? [];
  return html`${word !== undefined && html`<span class="badge">${word}</span> `}${cut(type, 255)}`;
}

async function deleteLink(
  { viewer, path }: PageRequest,
  { deleteEnabled, readOnly, immutableTags }: PageSources,
  { repository, tag }: Subject,
): Promise<Content> {
  if (!deleteEnabled || readOnly) return undefined;
  if (!(await viewer.allows({ type: 'repository', name: repository }, 'delete'))) return undefined;
  if (tag && immutableTags(repository)?.(tag.name))
    return note('This tag is immutable: it cannot be deleted.');
  const text = tag ? 'Delete this tag…' : 'Delete this manifest…';
  return html`<p class="actions"><a class="button danger" href="${withQuery(path, { confirm: 'delete' })}">${text}</a></p>`;
}
