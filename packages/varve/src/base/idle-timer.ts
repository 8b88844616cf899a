/** Calls `action` once, `milliseconds` after {@link IdleTimer.start} unless stopped. It keeps no process alive. */
export class IdleTimer {
  readonly #milliseconds: number;
  readonly #action: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number, action: () => void) {
    this.#milliseconds = milliseconds;
    this.#action = action;
  }

  /** Begins the wait, anew when it had begun. */
  start(): void {
    this.stop();
    this.#timer = setTimeout(this.#action, this.#milliseconds).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Milliseconds after which a thread without work ends. A thread holds 10 to 40 MiB (its heap, what the compressors
 * keep) and starts in 30 to 50 ms: worth keeping between the requests of one command, not for the next day.
 */
export const idleThreadMs = 5000;
