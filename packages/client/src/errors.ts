/** The engine's answer to a request that failed, or the reason it could not be asked (`status` 0). */
export class EngineError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The call: `POST /containers/x/start`. */
  readonly call: string;
  /** For an error told within a stream of progress: what a command ends with, a build step's own code or 1. */
  readonly exitCode: number | undefined;

  constructor(status: number, message: string, call: string, cause?: unknown, exitCode?: number) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'EngineError';
    this.status = status;
    this.call = call;
    this.exitCode = exitCode;
  }

  /** True for an EngineError of any copy of this module, with the status when one is given. */
  static is(value: unknown, status?: number): value is EngineError {
    return (
      value instanceof Error &&
      value.name === 'EngineError' &&
      (status === undefined || (value as EngineError).status === status)
    );
  }
}
