import { throwIfAborted, VarveError } from '../../base/index.ts';

interface Running<T> {
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Work that callers with the same key share while it runs. A caller that is cancelled leaves; the work itself is
 * cancelled when the last one has left.
 */
export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  async run(
    key: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    let current = this.#running.get(key);
    // Work whose last caller left is ending; it must be over before it starts anew.
    while (current?.controller.signal.aborted) {
      await current.promise.catch(() => undefined);
      throwIfAborted(signal);
      current = this.#running.get(key);
    }
    current ??= this.#start(key, work);
    return await this.#join(current, signal);
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const controller = new AbortController();
    const promise = work(controller.signal).finally(() => this.#running.delete(key));
    promise.catch(() => undefined);
    const running = { promise, controller, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }

  async #join(running: Running<T>, signal: AbortSignal | undefined): Promise<T> {
    running.waiting++;
    const leave = Promise.withResolvers<never>();
    const onAbort = (): void => {
      const cause: unknown = signal?.reason;
      leave.reject(new VarveError('cancelled', 'CANCELLED', 'the operation was cancelled', { cause }));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([running.promise, leave.promise]);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      running.waiting--;
      if (running.waiting === 0) {
        running.controller.abort(signal?.reason);
        // The last caller's answer means that nothing goes on behind its back.
        await running.promise.catch(() => undefined);
      }
    }
  }
}
