import type { TestContext } from 'node:test';
import { join } from 'node:path';
import { configSchema } from '../../../src/registry/config/index.ts';
import type { RegistryConfigInput } from '../../../src/registry/index.ts';
import { openStorage } from '../../../src/registry/storage/index.ts';
import { startSwift } from '../../registry-storage/judges/swift.ts';
import { newBucket } from '../../registry-storage/s3-cases.ts';
import { startPostgres } from '../postgres-server.ts';
import { type ServerProcess, startConfigured, temporaryFolder } from '../programs.ts';

type StorageBlock = NonNullable<RegistryConfigInput['storage']>;

export type ClusterNode = ServerProcess & {
  /** Folder of its control socket. */
  readonly root: string;
};

/** One database and one object store, for as many nodes as a test wants. */
export interface SharedParts extends AsyncDisposable {
  /** Starts a node; what it shares with the others is named by `name`. */
  node(
    t: TestContext,
    name: string,
    maintenance?: StorageBlock['maintenance'],
    more?: RegistryConfigInput,
  ): Promise<ClusterNode>;
  /** The blobs whose bytes are stored. */
  stored(name: string): Promise<Set<string>>;
}

/** Starts PostgreSQL, and Swift with its S3 API. */
export async function startSharedParts(): Promise<SharedParts> {
  await using resources = new AsyncDisposableStack();
  const [postgres, swift] = await Promise.all([startPostgres(), startSwift()]);
  resources.use(postgres);
  resources.use(swift);
  const access = { url: swift.url, accessKey: swift.user, secretKey: swift.password };
  const groups = new Map<string, Promise<{ readonly url: string; readonly storage: StorageBlock }>>();
  const group = (name: string): Promise<{ readonly url: string; readonly storage: StorageBlock }> => {
    const make = async () => ({
      url: postgres.database(name),
      storage: { s3: await newBucket(access), redirect: { disable: true }, delete: { enabled: true } },
    });
    const known = groups.get(name) ?? make();
    groups.set(name, known);
    return known;
  };
  const owned = resources.move();
  return {
    node: async (t, name, maintenance, more = {}) => {
      const { url, storage } = await group(name);
      const rootdirectory = join(temporaryFolder(t), 'node');
      const server = await startConfigured(t, {
        http: { addr: '127.0.0.1:0' },
        log: { accesslog: { disabled: true } },
        ...more,
        metadata: { postgres: { url } },
        storage: { ...storage, filesystem: { rootdirectory }, ...(maintenance ? { maintenance } : {}) },
      });
      return { ...server, root: rootdirectory };
    },
    stored: async (name) => {
      const { storage } = await group(name);
      const opened = await openStorage(configSchema.parse({ storage }).storage, '/nonexistent');
      const digests = await Array.fromAsync(opened.list(), ({ digest }) => digest);
      await opened.close();
      return new Set(digests);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
