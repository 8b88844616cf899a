import type { Auth } from '../auth/index.ts';
import type { RecentlyUsed } from '../gc/index.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import type { Uploads } from '../uploads/index.ts';
import type { Exchange } from './exchange.ts';

/** What the handlers work with. */
export interface Services {
  readonly metadata: MetadataStore;
  readonly storage: RegistryStorage;
  readonly uploads: Uploads;
  readonly recentlyUsed: RecentlyUsed;
  readonly deleteEnabled: boolean;
  /** Whether and for how long (seconds) readers are sent to the storage itself, where it can sign addresses. */
  readonly redirect: { readonly disable: boolean; readonly expires: number };
  /** The access control of the configuration. */
  readonly auth: Auth;
}

/** Answers one exchange, or throws a RegistryError. */
export type Handler = (exchange: Exchange, services: Services) => void | Promise<void>;
