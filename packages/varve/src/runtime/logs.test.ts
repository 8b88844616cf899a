import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { LineJoiner, maxJoinedBytes, normalizeTimestamp, parseLogEntry, timestampOf } from './log-line.ts';
import { type LogSource, queryLogs } from './logs.ts';
import type { LogQuery } from './types.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'varve-logs-'));
  path = join(folder, 'container.log');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const stamp = (second: number): string =>
  `2026-01-01T00:${String(Math.floor(second / 60)).padStart(2, '0')}:${String(second % 60).padStart(2, '0')}.000000001+00:00`;

const entry = (second: number, text: string, tag = 'F', stream = 'stdout'): string =>
  `${stamp(second)} ${stream} ${tag} ${text}\n`;

function source(finished: () => boolean = () => true): LogSource & { end(): void } {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { path, finished, whenFinished: () => ended, end };
}

async function read(query: LogQuery = {}, from: LogSource = source()): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of queryLogs(from, query)) lines.push(`${line.stream}:${line.data.toString()}`);
  return lines;
}

test('brings times to UTC with nine digits', () => {
  assert.equal(normalizeTimestamp('2026-11-21T17:16:25.5+00:00'), '2026-11-21T17:16:25.500000000Z');
  assert.equal(normalizeTimestamp('2026-11-21T17:16:25.123456789+02:00'), '2026-11-21T15:16:25.123456789Z');
  assert.equal(normalizeTimestamp('yesterday'), undefined);
  assert.equal(timestampOf(0.25), '1970-01-01T00:00:00.250000000Z');
});

test('skips what is no log line', () => {
  for (const text of ['', 'x', `${stamp(0)} stdout`, `${stamp(0)} stdin F x`, `${stamp(0)} stdout Q x`]) {
    assert.equal(parseLogEntry(Buffer.from(text)), undefined, text);
  }
});

test('joins the parts of lines of each stream', async () => {
  writeFileSync(
    path,
    entry(0, 'he', 'P') + entry(0, 'oops', 'P', 'stderr') + entry(1, 'llo') + entry(2, '!', 'F', 'stderr'),
  );
  assert.deepEqual(await read(), ['1:hello\n', '2:oops!\n']);
});

test('gives unfinished output of an ended container without a newline', async () => {
  writeFileSync(path, entry(0, 'one') + entry(1, 'two', 'P'));
  assert.deepEqual(await read(), ['1:one\n', '1:two']);
  assert.deepEqual(
    await read(
      {},
      source(() => false),
    ),
    ['1:one\n'],
  );
});

test('hands out an endless line in pieces', () => {
  const joiner = new LineJoiner();
  const data = Buffer.alloc(8192, 'x');
  let size = 0;
  let pieces = 0;
  for (let index = 0; index < 300; index++) {
    const line = joiner.push({ stream: 1, timestamp: '', complete: false, data });
    if (line === undefined) continue;
    pieces++;
    size += line.data.length;
    assert.ok(line.data.length <= maxJoinedBytes + data.length);
  }
  for (const line of joiner.flush()) size += line.data.length;
  assert.equal(size, 300 * 8192);
  assert.equal(pieces, 2);
});

test('selects by stream and time', async () => {
  let text = '';
  for (let second = 0; second < 10; second++) {
    text += entry(second, `${second}`, 'F', second % 2 ? 'stderr' : 'stdout');
  }
  writeFileSync(path, text);
  const start = Date.UTC(2026, 0, 1) / 1000;
  assert.deepEqual(await read({ stderr: false, since: start + 5 }), ['1:6\n', '1:8\n']);
  assert.deepEqual(await read({ stdout: false, until: start + 4 }), ['2:1\n', '2:3\n']);
});

test('reads rotated files oldest first', async () => {
  writeFileSync(`${path}.2`, entry(0, 'a'));
  writeFileSync(`${path}.1`, entry(1, 'b'));
  writeFileSync(path, entry(2, 'c'));
  writeFileSync(`${path}.tmp`, entry(3, 'not a log'));
  assert.deepEqual(await read(), ['1:a\n', '1:b\n', '1:c\n']);
  assert.deepEqual(await read({ tail: 2 }), ['1:b\n', '1:c\n']);
});

test('agrees with a full read for every tail', async () => {
  // A small generator of awkward logs: parts, both streams interleaved, several files, lines across read blocks.
  let state = 7;
  const random = (below: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % below;
  };
  for (let round = 0; round < 25; round++) {
    const entries = Array.from({ length: 1 + random(40) }, (_, index) =>
      entry(
        index,
        'x'.repeat(random(round % 5 === 0 ? 60_000 : 30)) + index,
        random(3) === 0 ? 'P' : 'F',
        random(2) ? 'stdout' : 'stderr',
      ),
    );
    const cut = random(entries.length + 1);
    writeFileSync(`${path}.1`, entries.slice(0, cut).join(''));
    writeFileSync(path, entries.slice(cut).join(''));
    for (const filter of [{}, { stderr: false }]) {
      const all = await read(
        filter,
        source(() => false),
      );
      for (const tail of [0, 1, 2, 5, 39, 100]) {
        const wanted = tail === 0 ? [] : all.slice(-tail);
        assert.deepEqual(
          await read(
            { ...filter, tail },
            source(() => false),
          ),
          wanted,
          `round ${round} tail ${tail}`,
        );
      }
    }
  }
});

test('follows through rotation until the writer has ended', async () => {
  writeFileSync(path, entry(0, 'a'));
  let over = false;
  const from = source(() => over);
  const seen: string[] = [];
  for await (const line of queryLogs(from, { follow: true })) {
    seen.push(line.data.toString());
    if (seen.length === 1) {
      appendFileSync(path, entry(1, 'b'));
      renameSync(path, `${path}.1`);
      writeFileSync(path, entry(2, 'c'));
    }
    if (seen.length === 3) {
      appendFileSync(path, entry(3, 'd') + entry(4, 'e', 'P'));
      over = true;
      from.end();
    }
  }
  assert.deepEqual(seen, ['a\n', 'b\n', 'c\n', 'd\n', 'e']);
});

test('stops following when the client goes', async () => {
  writeFileSync(path, entry(0, 'a'));
  const abort = new AbortController();
  const reading = read(
    { follow: true, signal: abort.signal },
    source(() => false),
  );
  setImmediate(() => {
    abort.abort();
  });
  await assert.rejects(reading, { kind: 'cancelled' });
});

test('gives nothing for a log that does not exist', async () => {
  assert.deepEqual(await read(), []);
  assert.deepEqual(await read({ tail: 5, follow: true }), []);
});
