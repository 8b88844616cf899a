import type { Auth } from '../auth/index.ts';
import type { RecentlyUsed } from '../gc/index.ts';
import type { Maintenance } from '../maintenance/index.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { Notifier } from '../notifications/index.ts';
import type { Pages } from '../pages/index.ts';
import type { PullThrough } from '../proxy/index.ts';
import type { Quota } from '../quota/index.ts';
import type { Pulls } from '../retention/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import type { Trust } from '../trust/index.ts';
import type { Uploads } from '../uploads/index.ts';
import type { Exchange } from './exchange.ts';

/** What the handlers work with. */
export interface Services {
  readonly metadata: MetadataStore;
  readonly storage: RegistryStorage;
  readonly uploads: Uploads;
  readonly recentlyUsed: RecentlyUsed;
  /** Where several nodes collect: how old the record of a blob's last use may be before it is written again. */
  readonly usedWithinMs: number;
  readonly pulls: Pulls;
  readonly quota: Quota;
  readonly maintenance: Maintenance;
  readonly notifier: Notifier;
  /** Repositories that come from other registries. */
  readonly proxy: PullThrough;
  /** Which signatures pushes and pulls need. */
  readonly trust: Trust;
  /** The test for a repository's tags; undefined when none of them is immutable. */
  readonly immutableTags: (repository: string) => ((tag: string) => boolean) | undefined;
  readonly deleteEnabled: boolean;
  /** Whether Docker manifests of schema 1 may be pushed. */
  readonly schema1Enabled: boolean;
  readonly readOnly: boolean;
  /** Whether and for how long (seconds) readers are sent to the storage itself, where it can sign addresses. */
  readonly redirect: { readonly disable: boolean; readonly expires: number };
  /** The access control of the configuration. */
  readonly auth: Auth;
  /** undefined where they are off. */
  readonly pages: Pages | undefined;
}

/** Answers one exchange, or throws a RegistryError. */
export type Handler = (exchange: Exchange, services: Services) => void | Promise<void>;
