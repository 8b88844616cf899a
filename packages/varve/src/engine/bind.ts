/** The functions of a group with their first argument filled in. */
export type Bound<C, T> = {
  readonly [K in keyof T]: T[K] extends (context: C, ...rest: infer A) => infer R ? (...rest: A) => R : never;
};

/** Gives every function of a group its first argument: use cases become the methods of the engine. */
export function bind<C, T extends Readonly<Record<string, unknown>>>(context: C, group: T): Bound<C, T> {
  return Object.fromEntries(
    Object.entries(group).map(([name, use]) => [
      name,
      (...rest: unknown[]) => (use as (context: C, ...rest: unknown[]) => unknown)(context, ...rest),
    ]),
  ) as Bound<C, T>;
}
