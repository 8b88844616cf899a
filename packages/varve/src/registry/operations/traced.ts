/** Begins a span as a part of what is going on; undefined where nothing is traced. */
export type StartChild = (name: string) => ChildSpan | undefined;

/** One call on behalf of a request. */
export interface ChildSpan {
  /** @param failure what it threw */
  end(failure?: unknown): void;
}

type Call = (...args: unknown[]) => unknown;

/**
 * The same object, with a span around each call of a method, of itself and of the objects that it is made of. A span ends when
 * the call's promise settles; where what it gives is a stream, that is when the stream is there.
 * @param results names of methods whose results are traced in turn
 */
export function traced<T extends object>(
  target: T,
  prefix: string,
  start: StartChild,
  results: ReadonlySet<string> = new Set(),
): T {
  const known = new Map<PropertyKey, unknown>();
  const wrap = (key: PropertyKey, value: object): unknown => {
    if (typeof key !== 'string') return value;
    if (typeof value === 'object') return traced(value, `${prefix} ${key}`, start);
    const call = (value as Call).bind(target);
    const inResult = (result: unknown): unknown =>
      results.has(key) && typeof result === 'object' && result !== null
        ? traced(result, `${prefix} session`, start)
        : result;
    return (...args: unknown[]) => spanned(() => call(...args), `${prefix} ${key}`, start, inResult);
  };
  return new Proxy(target, {
    get: (_, key) => {
      const value = Reflect.get(target, key, target) as unknown;
      // What changes, a size or an offset, is no method.
      if (value === null || (typeof value !== 'function' && typeof value !== 'object')) return value;
      if (!known.has(key)) known.set(key, wrap(key, value));
      return known.get(key);
    },
  });
}

function spanned(
  call: () => unknown,
  name: string,
  start: StartChild,
  inResult: (result: unknown) => unknown,
): unknown {
  const span = start(name);
  try {
    const result = call();
    if (!(result instanceof Promise)) {
      span?.end();
      return inResult(result);
    }
    return result.then(
      (value: unknown) => {
        span?.end();
        return inResult(value);
      },
      (error: unknown) => {
        span?.end(error);
        throw error;
      },
    );
  } catch (error) {
    span?.end(error);
    throw error;
  }
}
