/** Reporter of one test file's process: a line of JSON for each thing that `scripts/test.ts` counts. */
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** What one test came to; `end` is the last line of a process that ran all it had. */
export type ResultLine =
  | { readonly type: 'start' | 'pass' | 'end'; readonly name: string; readonly ms: number }
  | { readonly type: 'skip'; readonly name: string; readonly reason: string }
  | { readonly type: 'fail'; readonly name: string; readonly ms: number; readonly error: string };

// oxlint-disable-next-line import/no-default-export -- how node:test takes a reporter
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string, void, void> {
  for await (const event of source) {
    const line = asLine(event);
    if (line) yield `${JSON.stringify(line)}\n`;
  }
}

function asLine({ type, data }: TestEvent): ResultLine | undefined {
  // Of what runs now; `test:start` waits for its turn in the report.
  if (type === 'test:dequeue') return { type: 'start', name: data.name, ms: 0 };
  if (type === 'test:summary') return { type: 'end', name: '', ms: data.duration_ms };
  if (type === 'test:pass') {
    const { name, skip, todo, details } = data;
    if (skip !== undefined || todo !== undefined) return { type: 'skip', name, reason: reason(skip ?? todo) };
    return details.type === 'suite' ? undefined : { type: 'pass', name, ms: details.duration_ms };
  }
  if (type === 'test:fail') {
    const { name, todo, details } = data;
    if (todo !== undefined) return { type: 'skip', name, reason: reason(todo) };
    const { error } = details;
    // A suite fails with its tests, which are counted, or by a hook of its own.
    if ('failureType' in error && error.failureType === 'subtestsFailed') return undefined;
    return { type: 'fail', name, ms: details.duration_ms, error: inspect(error.cause ?? error) };
  }
  return undefined;
}

function reason(given: string | boolean | undefined): string {
  return typeof given === 'string' && given !== '' ? given : 'no reason given';
}
