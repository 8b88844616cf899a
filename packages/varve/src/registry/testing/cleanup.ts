import type { TestContext } from 'node:test';

const stacks = new WeakMap<TestContext, AsyncDisposableStack>();

/**
 * Does `work` at the end of the test, the last given first: a server stops before its folder goes, which `t.after`
 * alone does the other way round, and one that fails does not keep the others from running.
 */
export function atEnd(t: TestContext, work: () => void | Promise<void>): void {
  let stack = stacks.get(t);
  if (!stack) {
    const created = new AsyncDisposableStack();
    stack = created;
    stacks.set(t, created);
    t.after(() => created.disposeAsync());
  }
  stack.defer(work);
}
