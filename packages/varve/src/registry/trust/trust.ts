import {
  checkSchema1,
  findTrust,
  notationArtifactType,
  simpleSigningType,
  schema1SignedType,
  type TrustPolicy,
} from '../../distribution/index.ts';
import type { Digest } from '../../oci/index.ts';
import { glob } from '../../base/index.ts';
import { RegistryError } from '../errors.ts';
import type { ManifestContent, MetadataStore } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import { RegistrySignatures } from './registry-signatures.ts';

/** Layers of these types are signatures: what has no others is nothing to run. */
const signatureTypes: ReadonlySet<unknown> = new Set([
  simpleSigningType,
  'application/jose+json',
  'application/cose',
  'application/vnd.dev.sigstore.bundle.v0.3+json',
]);
/** A signature that is deleted, or whose certificate expires, counts no longer than this. */
const rememberedMs = 30_000;
const maxRemembered = 10_000;
const maxParents = 32;

/** What may be pushed to and pulled from repositories that a policy asks signatures of. */
export class Trust {
  readonly #policies: readonly TrustPolicy[];
  readonly #metadata: MetadataStore;
  readonly #storage: RegistryStorage;
  readonly #trusted = new Map<string, number>();

  constructor(
    policies: readonly TrustPolicy[],
    parts: { readonly metadata: MetadataStore; readonly storage: RegistryStorage },
  ) {
    this.#policies = policies;
    this.#metadata = parts.metadata;
    this.#storage = parts.storage;
  }

  /**
   * Lets a pull of a manifest go on. A signature may always be read, and an image of an index when the index is signed.
   * @throws RegistryError `DENIED` with why no signature counts
   */
  async requireForPull(repository: string, digest: Digest): Promise<void> {
    const policy = this.#find(repository, 'pull');
    if (!policy || this.#isRemembered(repository, digest)) return;
    const manifest = await this.#stored(repository, digest);
    if (!manifest || isSignature(manifest)) return;
    const parents = await this.#metadata.indexesOf(repository, digest, maxParents);
    const reasons = await this.#reasons(policy, repository, manifest, parents);
    if (reasons !== undefined) throw refusal(repository, digest, reasons);
    this.#remember(repository, digest);
  }

  /**
   * Lets tags point at a manifest that is being pushed.
   * @throws RegistryError `DENIED` with why no signature counts
   */
  async requireForTag(repository: string, pushed: ManifestContent): Promise<void> {
    const policy = this.#find(repository, 'push');
    if (!policy || isSignature(pushed)) return;
    // Of a manifest of schema 1 that is here, the signatures stay those it has.
    const manifest = (await this.#stored(repository, pushed.digest)) ?? pushed;
    const reasons = await this.#reasons(policy, repository, manifest, []);
    if (reasons === undefined) return;
    throw refusal(repository, pushed.digest, reasons, ': push it by digest, sign it, then tag it');
  }

  #find(repository: string, on: 'push' | 'pull'): TrustPolicy | undefined {
    const policy = this.#policies.find((item) => glob(item.repositories).matches(repository));
    return policy?.on.includes(on) ? policy : undefined;
  }

  async #stored(repository: string, digest: Digest): Promise<ManifestContent | undefined> {
    const record = await this.#metadata.manifestByDigest(repository, digest);
    const bytes = record && (await this.#metadata.manifestContent(repository, digest));
    return bytes && { ...record, bytes };
  }

  /** undefined when a signature counts: one inside a manifest of schema 1, or one of it or of an index that lists it. */
  async #reasons(
    { signers }: TrustPolicy,
    repository: string,
    { digest, mediaType, bytes }: ManifestContent,
    parents: readonly Digest[],
  ): Promise<readonly string[] | undefined> {
    const reasons: string[] = [];
    if (signers.schema1.length > 0 && mediaType === schema1SignedType) {
      const reason = checkSchema1(bytes, signers.schema1);
      if (reason === undefined) return undefined;
      reasons.push(`signature of schema 1: ${reason}`);
    }
    const source = new RegistrySignatures(repository, { metadata: this.#metadata, storage: this.#storage });
    for (const subject of [digest, ...parents]) {
      const verdict = await findTrust(subject, signers, source);
      if (verdict.trusted) return undefined;
      reasons.push(...verdict.reasons);
    }
    return reasons;
  }

  #isRemembered(repository: string, digest: Digest): boolean {
    const at = this.#trusted.get(`${repository} ${digest}`);
    return at !== undefined && performance.now() - at < rememberedMs;
  }

  #remember(repository: string, digest: Digest): void {
    if (this.#trusted.size >= maxRemembered) this.#trusted.clear();
    this.#trusted.set(`${repository} ${digest}`, performance.now());
  }
}

function isSignature({ mediaType, bytes }: ManifestContent): boolean {
  // Its layers are in fsLayers: what else it says is no reason to let it pass.
  if (mediaType === schema1SignedType) return false;
  try {
    const manifest = JSON.parse(Buffer.from(bytes).toString()) as {
      readonly artifactType?: unknown;
      readonly layers?: readonly { readonly mediaType?: unknown }[];
    };
    const { layers = [], artifactType } = manifest;
    return (
      layers.every(({ mediaType }) => signatureTypes.has(mediaType)) &&
      (layers.length > 0 || artifactType === notationArtifactType)
    );
  } catch {
    return false;
  }
}

function refusal(repository: string, digest: Digest, reasons: readonly string[], advice = ''): RegistryError {
  return new RegistryError('DENIED', {
    message: `${repository} asks for signatures, and none of ${digest} counts${advice}`,
    detail: { repository, digest, signatures: reasons.length > 0 ? reasons : ['there is none'] },
  });
}
