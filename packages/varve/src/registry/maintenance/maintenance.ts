import type { Logger } from 'pino';
import { parseBytes, parseDuration } from '../../base/index.ts';
import type { RegistryConfig } from '../config/index.ts';
import {
  type CollectDecision,
  type CollectOptions,
  type CollectReport,
  collectGarbage,
  planCollection,
  type RecentlyUsed,
} from '../gc/index.ts';
import type { MetadataStore, RepositoryUsage } from '../metadata/index.ts';
import { copyRecords, type RebuildReport, rebuildRecords } from '../rebuild/index.ts';
import type { Notifier } from '../notifications/index.ts';
import type { Metrics } from '../operations/index.ts';
import type { Quota } from '../quota/index.ts';
import { type Pulls, type RepositoryDecisions, type RetentionRule, retainTags } from '../retention/index.ts';
import { type ScrubOptions, type ScrubReport, scrub } from '../scrub/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import type { Uploads } from '../uploads/index.ts';
import { repeatEvery } from './repeat.ts';

/** What a registry keeps in order. */
export interface MaintenanceParts {
  readonly config: RegistryConfig;
  readonly storage: RegistryStorage;
  readonly metadata: MetadataStore;
  readonly uploads: Uploads;
  readonly recentlyUsed: RecentlyUsed;
  readonly pulls: Pulls;
  readonly quota: Quota;
  readonly notifier: Notifier;
  readonly metrics: Metrics | undefined;
  readonly logger: Logger;
}

/** What of a quota is used, and what running uploads have reserved. */
export interface UsageReport extends RepositoryUsage {
  readonly limits: readonly {
    readonly scope: 'repository' | 'namespace';
    readonly name: string;
    readonly limit: number;
    readonly used: number;
    readonly reserved: number;
  }[];
}

const flushIntervalMs = 30_000;
const pageSize = 1000;

/** What keeps a registry in order while it serves: each part by hand, and all of them at the intervals of the configuration. */
export class Maintenance {
  readonly #parts: MaintenanceParts;
  #rebuilding: Promise<void> | undefined;
  readonly #stop = new AbortController();

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
  }

  async collect(options?: CollectOptions): Promise<CollectReport> {
    // Blobs whose records are still to come would look like garbage.
    await this.#rebuilding;
    const report = await collectGarbage(this.#parts, options);
    this.#parts.metrics?.collected(report.manifests, report.blobs.length, report.bytes);
    return report;
  }

  /** Makes the records again from storage; see {@link rebuildRecords}. */
  async rebuild(signal?: AbortSignal): Promise<RebuildReport> {
    const work = rebuildRecords(this.#parts, signal);
    this.#rebuilding = work.then(ignore, ignore);
    return await work;
  }

  /** Brings the copies of manifests and tags in storage up to date. */
  copyRecords(signal?: AbortSignal): Promise<number> {
    return copyRecords(this.#parts, signal);
  }

  /** What {@link collect} would do, with reasons. */
  plan(options?: CollectOptions): AsyncIterable<CollectDecision> {
    return planCollection(this.#parts, options);
  }

  async scrub(options?: ScrubOptions): Promise<ScrubReport> {
    const report = await scrub(this.#parts, options);
    this.#parts.metrics?.scrubbed(report.findings.filter(({ state }) => state !== 'healed').length);
    return report;
  }

  /** Removes the tags that retention does not keep. */
  async *retain(options: {
    readonly dryRun?: boolean;
    readonly signal?: AbortSignal | undefined;
  }): AsyncGenerator<RepositoryDecisions, void, void> {
    // Pulls that nobody has written yet count.
    await this.#parts.pulls.flush();
    const { immutable } = this.#parts.config.tags;
    yield* retainTags(this.#parts.metadata, {
      retention: retentionRules(this.#parts.config),
      immutable,
      ...options,
    });
  }

  /** Drops uploads that nobody touched for the age of the configuration; returns how many. */
  purgeUploads(signal?: AbortSignal): Promise<number> {
    const { age } = this.#parts.config.storage.maintenance.uploadpurging;
    return this.#parts.uploads.purge(Date.now() - milliseconds(age), signal);
  }

  /** What repositories are billed for, by name. */
  async *usage(): AsyncGenerator<UsageReport, void, void> {
    for (let after: string | undefined; ; ) {
      const page = await this.#parts.metadata.usages({ after, limit: pageSize });
      for (const item of page) yield { ...item, limits: await this.limits(item.repository) };
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) return;
      after = last.repository;
    }
  }

  /** The limits that a repository is under. */
  async limits(repository: string): Promise<UsageReport['limits']> {
    const { quota, metadata } = this.#parts;
    return await Promise.all(
      quota.limitsOf(repository).map(async (limit) => ({
        scope: limit.scope,
        name: limit.name,
        limit: limit.bytes,
        used: await metadata.usedBytes(limit.scope, limit.name),
        reserved: quota.reserved(limit),
      })),
    );
  }

  /** Starts the work at intervals; what is returned stops it. None of it holds up the start of a server. */
  start(): AsyncDisposable {
    const { config, logger, pulls, notifier } = this.#parts;
    const { uploadpurging, collect, readonly, scrub: scrubbing } = config.storage.maintenance;
    const running = new AsyncDisposableStack();
    running.defer(() => pulls.flush());
    running.use(repeatEvery(flushIntervalMs, logger, () => pulls.flush()));
    if (notifier.enabled) {
      running.use(repeatEvery(notifyIntervalMs, logger, (signal) => notifier.flush(signal)));
    }
    const copying = repeatEvery(copyIntervalMs, logger, (signal) => this.copyRecords(signal));
    running.use(copying);
    const rebuilding = this.#rebuildWhenLost();
    running.defer(async () => {
      this.#stop.abort();
      await rebuilding;
    });
    if (uploadpurging.enabled) {
      const purge = repeatEvery(milliseconds(uploadpurging.interval), logger, async (signal) => {
        const purged = await this.purgeUploads(signal);
        if (purged > 0) logger.info({ purged }, 'dropped abandoned uploads');
      });
      purge.run();
      running.use(purge);
    }
    if (readonly.enabled) return running;
    const { interval } = config.tags.retention;
    if (retentionRules(config).length > 0) {
      running.use(
        repeatEvery(milliseconds(interval), logger, async (signal) => {
          for await (const { repository, decisions } of this.retain({ signal })) {
            const removed = decisions.filter(({ keep }) => !keep).map(({ tag }) => tag);
            if (removed.length > 0) logger.info({ repository, removed }, 'removed tags');
          }
        }),
      );
    }
    if (collect.enabled) {
      const { untagged, grace } = collect;
      const options = { graceMs: milliseconds(grace), untagged };
      const collected = async (more: CollectOptions): Promise<void> => {
        const { blobs, ...rest } = await this.collect({ ...options, ...more });
        logger.info({ ...rest, blobs: blobs.length }, 'collected garbage');
      };
      running.use(repeatEvery(milliseconds(collect.interval), logger, (signal) => collected({ signal })));
      running.use(
        repeatEvery(milliseconds(collect.fullinterval), logger, (signal) =>
          collected({ signal, full: true }),
        ),
      );
    }
    if (scrubbing.enabled) {
      const rate = parseBytes(scrubbing.rate);
      running.use(
        repeatEvery(milliseconds(scrubbing.interval), logger, async (signal) => {
          const { findings, ...done } = await this.scrub({
            rate,
            signal,
            onFinding: (finding) => logger.error(finding, 'scrub'),
          });
          logger.info({ ...done, findings: findings.length }, 'scrubbed');
        }),
      );
    }
    return running;
  }

  /** Records without a repository on a storage that knows some were lost: they are made again while requests are served. */
  async #rebuildWhenLost(): Promise<void> {
    const { metadata, storage, logger } = this.#parts;
    try {
      if ((await metadata.repositories({ limit: 1 })).length > 0) return;
      const [first] = await Array.fromAsync(firstOf(storage.records()));
      if (!first) return;
      logger.warn('the records are empty and storage is not: making them again');
      const { refused, ...done } = await this.rebuild(this.#stop.signal);
      for (const item of refused) logger.error(item, 'not made again');
      logger.info(done, 'made the records again');
    } catch (error) {
      if (!this.#stop.signal.aborted) logger.error({ err: error }, 'could not make the records again');
    }
  }
}

async function* firstOf<T>(items: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  for await (const item of items) {
    yield item;
    return;
  }
}

/** The rules of the configuration, and that what comes from other registries goes when nobody pulls it. */
function retentionRules({ tags, proxy }: RegistryConfig): RetentionRule[] {
  const upstreams = proxy.remoteurl === undefined ? proxy.upstreams : [{ prefix: '', ttl: proxy.ttl }];
  const kept = upstreams.filter(({ ttl }) => parseDuration(ttl) > 0);
  return [
    ...tags.retention.rules,
    ...kept.map(({ prefix, ttl }) => ({
      repositories: prefix === '' ? '**' : `${prefix}/**`,
      tags: ['**'],
      keep: { pushedwithin: ttl, pulledwithin: ttl },
    })),
  ];
}

function ignore(): void {}

const notifyIntervalMs = 500;

/** What of the last changes is lost with the records, at most, when both disks go. */
const copyIntervalMs = 2000;
function milliseconds(duration: string): number {
  return parseDuration(duration) / 1e6;
}
