import { randomBytes } from 'node:crypto';
import { type Digest, digestOf, mediaTypes } from '../../../src/oci/index.ts';
import { encode } from '../../../src/registry/testing/index.ts';

/** A blob with the descriptor that manifests name it by. */
export interface BlobData {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly mediaType: string;
}

/** A manifest as it is pushed, with what the referrers API has to say of it. */
export interface ManifestData {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly tags: readonly string[];
  readonly subject?: Digest;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** One kind of data: what a client pushes, blobs first and then manifests, in this order. */
export interface Kind {
  readonly name: string;
  readonly blobs: readonly BlobData[];
  readonly manifests: readonly ManifestData[];
}

type Algorithm = 'sha256' | 'sha512';
const unknownType = 'application/vnd.example.unknown.v7+something';

function blob(
  content: string | Buffer,
  mediaType: string = mediaTypes.ociLayer,
  algorithm: Algorithm = 'sha256',
): BlobData {
  const bytes = Buffer.from(content);
  return { bytes, mediaType, digest: digestOf(bytes, algorithm) };
}

function config(of: string, mediaType: string = mediaTypes.ociConfig, algorithm?: Algorithm): BlobData {
  return blob(JSON.stringify({ architecture: 'amd64', os: 'linux', author: of }), mediaType, algorithm);
}

function descriptor({ bytes, mediaType, digest }: BlobData | ManifestData): object {
  return { mediaType, digest, size: bytes.length };
}

function manifest(
  body: object,
  facts: Omit<ManifestData, 'bytes' | 'digest' | 'tags'> & { readonly tags?: readonly string[] },
  algorithm: Algorithm = 'sha256',
): ManifestData {
  const bytes = encode({ schemaVersion: 2, mediaType: facts.mediaType, ...body });
  return { tags: ['v1'], ...facts, bytes, digest: digestOf(bytes, algorithm) };
}

interface ImageOptions {
  readonly mediaType?: string;
  readonly tags?: readonly string[];
  readonly extra?: object;
  readonly algorithm?: Algorithm;
}

/** An image, whose artifact type is that of its config (image-spec, manifest.md). */
function image(own: BlobData, layers: readonly BlobData[], options: ImageOptions = {}): ManifestData {
  const { mediaType = mediaTypes.ociManifest, extra = {}, algorithm, tags } = options;
  const body = { config: descriptor(own), layers: layers.map(descriptor), ...extra };
  return manifest(body, { mediaType, artifactType: own.mediaType, ...(tags ? { tags } : {}) }, algorithm);
}

function simple(name: string, layers: readonly BlobData[], options: ImageOptions = {}): Kind {
  const own = config(name, undefined, options.algorithm);
  return { name, blobs: [own, ...layers], manifests: [image(own, layers, options)] };
}

/** What an index is made of: two images, without tags. */
function platforms(name: string): Kind {
  const kinds = ['amd64', 'arm64'].map((platform) =>
    simple(`${name} ${platform}`, [blob(`${name} ${platform}`)]),
  );
  return {
    name,
    blobs: kinds.flatMap(({ blobs }) => blobs),
    manifests: kinds.flatMap(({ manifests }) => manifests.map((item) => ({ ...item, tags: [] }))),
  };
}

function index(
  children: readonly ManifestData[],
  extra: object = {},
  mediaType: string = mediaTypes.ociIndex,
): ManifestData {
  return manifest({ manifests: children.map(descriptor), ...extra }, { mediaType });
}

const emptyJson = blob('{}', mediaTypes.ociEmpty);

/** Something that is about `subject`, with an empty config (image-spec, guidelines for artifacts). */
function artifact(
  artifactType: string,
  layers: readonly BlobData[],
  subject?: ManifestData,
  annotations?: Readonly<Record<string, string>>,
): ManifestData {
  return manifest(
    {
      artifactType,
      config: descriptor(emptyJson),
      layers: (layers.length > 0 ? layers : [emptyJson]).map(descriptor),
      ...(subject ? { subject: descriptor(subject) } : {}),
      ...(annotations ? { annotations } : {}),
    },
    {
      mediaType: mediaTypes.ociManifest,
      artifactType,
      tags: subject ? [] : ['v1'],
      ...(subject ? { subject: subject.digest } : {}),
      ...(annotations ? { annotations } : {}),
    },
  );
}

function dockerImage(): Kind {
  const own = config('docker image', mediaTypes.dockerConfig);
  const layer = blob('a layer of docker', mediaTypes.dockerLayer);
  return {
    name: 'docker image',
    blobs: [own, layer],
    manifests: [image(own, [layer], { mediaType: mediaTypes.dockerManifest })],
  };
}

function unknownManifest(): Kind {
  const mediaType = 'application/vnd.example.manifest.v3+json';
  const bytes = encode({ mediaType, anything: ['goes', { here: 1 }] });
  return {
    name: 'manifest of an unknown type',
    blobs: [],
    manifests: [{ bytes, mediaType, digest: digestOf(bytes), tags: ['v1'] }],
  };
}

function withReferrers(): Kind {
  const base = simple('artifacts with a subject', [blob('signed')]);
  const [signed] = base.manifests as readonly [ManifestData];
  const signature = blob('a signature', 'application/vnd.example.signature');
  const bill = blob('{"packages":[]}', 'application/spdx+json');
  return {
    ...base,
    blobs: [...base.blobs, emptyJson, signature, bill],
    manifests: [
      signed,
      artifact('application/vnd.example.signature.v1', [signature], signed, { 'org.example.key': 'one' }),
      artifact('application/vnd.example.signature.v1', [signature], signed, { 'org.example.key': 'two' }),
      artifact('application/vnd.example.bill.v1', [bill], signed),
    ],
  };
}

function missingSubject(): Kind {
  const [absent] = simple('never pushed', [blob('nobody has this')]).manifests as readonly [ManifestData];
  return {
    name: 'artifact with a missing subject',
    blobs: [emptyJson],
    manifests: [artifact('application/vnd.example.early.v1', [], absent, { 'org.example.early': 'yes' })],
  };
}

function plainIndex(): Kind {
  const { name, blobs, manifests } = platforms('index');
  return { name, blobs, manifests: [...manifests, index(manifests)] };
}

function nestedIndex(): Kind {
  const { name, blobs, manifests } = platforms('nested index');
  const inner = { ...index(manifests), tags: ['inner'] };
  return { name, blobs, manifests: [...manifests, inner, index([inner])] };
}

function sparseIndex(): Kind {
  const { name, blobs, manifests } = platforms('sparse index');
  const { manifests: absent } = platforms('sparse index, absent');
  return { name, blobs, manifests: [...manifests, index([...manifests, ...absent])] };
}

function indexWithSubject(): Kind {
  const { name, blobs, manifests } = platforms('index with a subject');
  const [first] = manifests as readonly [ManifestData];
  const artifactType = 'application/vnd.example.bundle.v1';
  const about = manifest(
    { artifactType, manifests: manifests.slice(1).map(descriptor), subject: descriptor(first) },
    { mediaType: mediaTypes.ociIndex, artifactType, subject: first.digest, tags: [] },
  );
  return { name, blobs, manifests: [...manifests, about] };
}

function manifestList(): Kind {
  const first = dockerImage();
  const children = first.manifests.map((item) => ({ ...item, tags: [] }));
  return {
    name: 'docker manifest list',
    blobs: first.blobs,
    manifests: [...children, index(children, {}, mediaTypes.dockerManifestList)],
  };
}

function nonDistributable(): Kind {
  const own = config('non-distributable layers');
  const here = blob('a layer that is here');
  const elsewhere = [
    blob('one elsewhere', 'application/vnd.oci.image.layer.nondistributable.v1.tar'),
    blob('one more elsewhere', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'),
  ];
  return {
    name: 'non-distributable layers',
    blobs: [own, here],
    manifests: [image(own, [here, ...elsewhere])],
  };
}

function dataField(): Kind {
  const own = config('data field');
  const layer = blob('small enough to be told');
  const inline = { ...descriptor(layer), data: layer.bytes.toString('base64') };
  return {
    name: 'data field',
    blobs: [own, layer],
    manifests: [image(own, [], { extra: { layers: [inline] } })],
  };
}

const unicode = { 'org.example.größe': '大きい 🐳 \u0000\u2028', 'org.example.empty': '' };

function unicodeAnnotations(): Kind {
  const base = simple('unicode annotations', [blob('größe')], { extra: { annotations: unicode } });
  const [first] = base.manifests as readonly [ManifestData];
  return {
    ...base,
    blobs: [...base.blobs, emptyJson],
    manifests: [first, artifact('application/vnd.example.unicode.v1', [], first, unicode)],
  };
}

/** The kinds of data that the specs of distribution and images give a registry to keep. */
export const kinds: readonly Kind[] = [
  simple('oci image', [
    blob('one layer', mediaTypes.ociLayerGzip),
    blob('and another', mediaTypes.ociLayerZstd),
  ]),
  dockerImage(),
  simple('uncompressed layers', [blob('a tar', mediaTypes.ociLayer)]),
  simple('empty blob', [blob('')]),
  simple('large blob', [blob(randomBytes(3 * 1024 * 1024 + 1))]),
  simple('sha512', [blob('long digests', mediaTypes.ociLayer, 'sha512')], { algorithm: 'sha512' }),
  simple('layers of unknown types', [blob('who knows', unknownType)]),
  unknownManifest(),
  {
    name: 'artifact',
    blobs: [emptyJson, blob('a chart', 'application/vnd.example.chart')],
    manifests: [
      artifact('application/vnd.example.app.v1', [blob('a chart', 'application/vnd.example.chart')]),
    ],
  },
  {
    name: 'artifact of nothing',
    blobs: [emptyJson],
    manifests: [artifact('application/vnd.example.nil', [])],
  },
  withReferrers(),
  missingSubject(),
  plainIndex(),
  nestedIndex(),
  { name: 'empty index', blobs: [], manifests: [index([])] },
  sparseIndex(),
  indexWithSubject(),
  manifestList(),
  nonDistributable(),
  dataField(),
  simple('custom fields', [blob('custom')], { extra: { 'org.example.field': { deep: [1, null] } } }),
  unicodeAnnotations(),
  // The least that a registry has to take is 4 MiB (spec.md#pushing-manifests).
  simple('large manifest', [blob('much to say of it')], {
    extra: { annotations: { 'org.example.filler': 'x'.repeat(4_190_000) } },
  }),
  simple('tag forms', [blob('tagged')], {
    tags: ['0', 'A', '_', 'a'.repeat(128), 'v1.2.3-rc.1', '1.0_x', 'sha256-notadigest', 'UPPER.lower'],
  }),
];
