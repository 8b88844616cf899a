import { EventQueue } from '../base/index.ts';
import { longestTimerMs, nowNanoseconds } from './time.ts';

export type EventType = 'container' | 'image' | 'volume' | 'network' | 'daemon' | 'builder';

/** Something that happened in the engine, in Docker's words. */
export interface EngineEvent {
  readonly type: EventType;
  /** `start`, `die`, `exec_create: sh -c true`, … */
  readonly action: string;
  /** Id of what it happened to: a container, an image reference, a volume or network. */
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since 1970. */
  readonly time: bigint;
}

export interface EventQuery {
  /** Nanoseconds since 1970, inclusive: kept events from then on come first. */
  readonly since?: bigint;
  /** Nanoseconds since 1970: the iteration ends then, at once when it is past. */
  readonly until?: bigint;
  readonly matches?: (event: EngineEvent) => boolean;
  readonly signal?: AbortSignal;
}

/** Kept for `--since`; moby keeps 256. */
const kept = 1024;
/** A subscriber that is this far behind is cut off, so that it cannot hold the engine's memory. */
const maximumBacklog = 16_384;

/** Tells what happens to whoever asks: order is the order of {@link EventBus.publish}. */
export class EventBus {
  readonly #recent: EngineEvent[] = [];
  readonly #subscribers = new Set<{ readonly query: EventQuery; readonly queue: EventQueue<EngineEvent> }>();

  get subscribers(): number {
    return this.#subscribers.size;
  }

  publish(
    type: EventType,
    action: string,
    id: string,
    attributes: Readonly<Record<string, string>> = {},
  ): EngineEvent {
    const event: EngineEvent = { type, action, id, attributes, time: nowNanoseconds() };
    this.#recent.push(event);
    if (this.#recent.length > kept) this.#recent.shift();
    for (const { query, queue } of this.#subscribers) {
      if (query.matches && !query.matches(event)) continue;
      if (queue.size > maximumBacklog) queue.end();
      else queue.push(event);
    }
    return event;
  }

  /** Events from the moment of the call (or `since`) until `until`, the signal, or {@link EventBus.close}. */
  subscribe(query: EventQuery = {}): AsyncIterable<EngineEvent> {
    const queue = new EventQueue<EngineEvent>();
    if (query.since !== undefined || query.until !== undefined) {
      for (const event of this.#recent) {
        if (query.since !== undefined && event.time < query.since) continue;
        if (query.since === undefined) continue;
        if (query.until !== undefined && event.time > query.until) continue;
        if (!query.matches || query.matches(event)) queue.push(event);
      }
    }
    const leftMs =
      query.until === undefined ? undefined : Number((query.until - nowNanoseconds()) / 1_000_000n);
    if ((leftMs !== undefined && leftMs <= 0) || query.signal?.aborted) {
      queue.end();
      return queue;
    }
    const subscriber = { query, queue };
    this.#subscribers.add(subscriber);
    const timer =
      leftMs === undefined ? undefined : setTimeout(() => queue.end(), Math.min(leftMs, longestTimerMs));
    const subscribers = this.#subscribers;
    const stop = (): void => {
      queue.end();
      subscribers.delete(subscriber);
    };
    query.signal?.addEventListener('abort', stop, { once: true });
    return (async function* () {
      try {
        yield* queue;
      } finally {
        stop();
        clearTimeout(timer);
        query.signal?.removeEventListener('abort', stop);
      }
    })();
  }

  /** Ends every subscription. */
  close(): void {
    for (const { queue } of this.#subscribers) queue.end();
  }
}
