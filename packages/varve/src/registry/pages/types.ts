import type { Readable } from 'node:stream';
import type { Digest } from '../../oci/index.ts';
import type { AccessRequest, Action, Identity, Resource, Sessions } from '../auth/index.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { ManifestReference } from '../names.ts';
import type { Quota } from '../quota/index.ts';

/** One request for a page, of somebody who is known by now. */
export interface PageRequest {
  readonly method: string;
  /** Without its query, as sent. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly identity: Identity;
  readonly asking: AccessRequest;
  /** The body, as an HTML form sends it. @throws RegistryError 413 when it is too large for one */
  form(): Promise<URLSearchParams>;
  readonly viewer: Viewer;
  /**
   * Takes a tag, or a manifest with its tags, away: asks access control and everything else that the API asks.
   * @throws RegistryError
   */
  remove(repository: string, target: ManifestReference): Promise<void>;
}

/** What somebody may see and do: access control with the identity filled in. */
export interface Viewer {
  sees(repository: string): boolean;
  prefixes(): readonly string[];
  /** @throws RegistryError `UNAUTHORIZED` or `DENIED` */
  require(resource: Resource, action: Action): void | Promise<void>;
  /** For what is only offered: nothing is logged. */
  allows(resource: Resource, action: Action): boolean | Promise<boolean>;
}

/** Header names and values in turn. */
export interface PageAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body?: string;
}

/** What the pages read. */
export interface PageSources {
  readonly metadata: MetadataStore;
  readonly storage: { read(digest: Digest): Promise<Readable> };
  readonly quota: Quota;
  readonly immutableTags: (repository: string) => ((tag: string) => boolean) | undefined;
  readonly deleteEnabled: boolean;
  readonly readOnly: boolean;
  /** undefined where nobody can log in. */
  readonly sessions: Sessions | undefined;
}
