import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { glob, mapLimit, parseDuration } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import type { ClaimedDelivery, MetadataStore, NewDelivery } from '../metadata/index.ts';

/** One endpoint of the block `notifications`. */
export interface NotificationEndpoint {
  readonly name: string;
  readonly url: string;
  readonly disabled: boolean;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly timeout: string;
  readonly backoff: string;
  readonly maxage: string;
  readonly repositories: string;
  readonly events: readonly ('push' | 'delete')[];
}

/** A change that was made to a repository. */
export interface RegistryEvent {
  readonly action: 'push' | 'delete';
  readonly repository: string;
  readonly digest?: Digest | undefined;
  readonly tags: readonly string[];
  readonly mediaType?: string | undefined;
  readonly size?: number | undefined;
  /** Who did it, as access control names it. */
  readonly actor: string;
  readonly remote: string | undefined;
}

const types = {
  push: 'io.varve.registry.manifest.pushed',
  delete: 'io.varve.registry.manifest.deleted',
} as const;
const batch = 50;
const atOnce = 8;
const maxPauseMs = 3600 * 1000;

/**
 * Tells others of changes, as CloudEvents 1.0 in structured JSON (cloudevents.io). What is to be told is recorded in the
 * transaction that makes the change, and stays until an endpoint has answered 2xx: at least once, with the same `id`.
 */
export class Notifier {
  readonly #endpoints: readonly NotificationEndpoint[];
  readonly #metadata: MetadataStore;
  readonly #logger: Logger;
  readonly #onOutcome: (outcome: 'delivered' | 'failed') => void;

  constructor(
    endpoints: readonly NotificationEndpoint[],
    metadata: MetadataStore,
    logger: Logger,
    onOutcome: (outcome: 'delivered' | 'failed') => void = () => undefined,
  ) {
    this.#endpoints = endpoints.filter(({ disabled }) => !disabled);
    this.#metadata = metadata;
    this.#logger = logger;
    this.#onOutcome = onOutcome;
  }

  get enabled(): boolean {
    return this.#endpoints.length > 0;
  }

  /** What a change has to record for its endpoints. */
  deliveriesOf(event: RegistryEvent): NewDelivery[] {
    const { action, repository, tags, digest } = event;
    return this.#endpoints
      .filter((item) => item.events.includes(action) && glob(item.repositories).matches(repository))
      .map(({ name }) => ({
        endpoint: name,
        body: JSON.stringify({
          specversion: '1.0',
          id: randomUUID(),
          source: `/v2/${repository}`,
          type: types[action],
          subject: tags.length === 1 ? `${repository}:${tags[0]}` : `${repository}@${digest}`,
          time: new Date().toISOString(),
          datacontenttype: 'application/json',
          data: event,
        }),
      }));
  }

  /** Posts what is due. @returns how many were delivered */
  async flush(signal?: AbortSignal): Promise<number> {
    let delivered = 0;
    for (;;) {
      const now = Date.now();
      const longest = Math.max(0, ...this.#endpoints.map(({ timeout }) => milliseconds(timeout)));
      // Claimed for longer than a post may take: another server tries again when this one died.
      const claimed = await this.#metadata.claimDeliveries(now, now + 2 * longest + 1000, batch);
      if (claimed.length === 0) return delivered;
      const outcomes = await mapLimit(claimed, atOnce, (delivery) => this.#deliver(delivery, signal));
      delivered += outcomes.filter(Boolean).length;
      if (signal?.aborted) return delivered;
    }
  }

  async #deliver(delivery: ClaimedDelivery, signal: AbortSignal | undefined): Promise<boolean> {
    const { id, body, attempts, createdAt } = delivery;
    const endpoint = this.#endpoints.find(({ name }) => name === delivery.endpoint);
    if (!endpoint || Date.now() - createdAt > milliseconds(endpoint.maxage)) {
      this.#logger.error({ endpoint: delivery.endpoint, attempts, body }, 'gave a notification up');
      await this.#metadata.dropDelivery(id);
      return false;
    }
    const failure = await post(endpoint, body, signal);
    if (failure === undefined) {
      await this.#metadata.dropDelivery(id);
      this.#onOutcome('delivered');
      return true;
    }
    const pause = Math.min(milliseconds(endpoint.backoff) * 2 ** attempts, maxPauseMs);
    await this.#metadata.postponeDelivery(id, Date.now() + pause);
    this.#logger.warn(
      { endpoint: endpoint.name, failure, attempts: attempts + 1, pause },
      'notification failed',
    );
    this.#onOutcome('failed');
    return false;
  }
}

/** Why it did not arrive; undefined when it did. A redirect is a failure: credentials go nowhere else. */
async function post(
  { url, headers, timeout }: NotificationEndpoint,
  body: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const limit = AbortSignal.timeout(Math.max(1, milliseconds(timeout)));
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      body,
      headers: [
        ['Content-Type', 'application/cloudevents+json; charset=utf-8'],
        ...Object.entries(headers).flatMap(([name, values]) =>
          values.map((value): [string, string] => [name, value]),
        ),
      ],
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    await answer.body?.cancel();
    return answer.ok ? undefined : `HTTP ${answer.status}`;
  } catch (error) {
    const { cause } = error as Error;
    return cause instanceof Error ? cause.message : (error as Error).message;
  }
}

function milliseconds(duration: string): number {
  return parseDuration(duration) / 1e6;
}
