import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';

/** The rooms, bottom to top; a room may import those before it (DESIGN, section 2). */
const rooms = [
  'base',
  'oci',
  'linux',
  'dockerfile',
  'layer',
  'state',
  'content',
  'storage',
  'distribution',
  'image',
  'explain',
  'volume',
  'network',
  'runtime',
  'builder',
  'engine',
  'registry',
  'api',
  'cli',
  'bin',
];
const source = resolve(import.meta.dirname, '../packages/varve/src');

interface Import {
  readonly file: string;
  readonly room: string;
  readonly target: string;
  readonly targetRoom: string;
  readonly typeOnly: boolean;
}

function imports(): Import[] {
  const found: Import[] = [];
  for (const name of globSync('**/*.ts', { cwd: source })) {
    const file = join(source, name);
    const room = name.split(sep)[0] as string;
    const text = readFileSync(file, 'utf8');
    for (const match of text.matchAll(
      /\b(import|export)(\s+type)?\b[^'";]*?from\s+'(\.[^']+)'|\bimport\('(\.[^']+)'\)/g,
    )) {
      const target = relative(source, resolve(dirname(file), (match[3] ?? match[4]) as string));
      found.push({
        file: name,
        room,
        target,
        targetRoom: target.split(sep)[0] as string,
        typeOnly: match[2] !== undefined,
      });
    }
  }
  return found;
}

test('every room is named in the list of rooms', () => {
  const unknown = new Set(
    imports()
      .map((entry) => entry.room)
      .filter((room) => !rooms.includes(room)),
  );
  assert.deepEqual([...unknown], []);
});

test('imports only go down', () => {
  const upward = imports()
    .filter((entry) => rooms.indexOf(entry.targetRoom) > rooms.indexOf(entry.room))
    .map((entry) => `${entry.file} -> ${entry.target}`);
  assert.deepEqual(upward, []);
});

test('the registry does not know the engine', () => {
  const wrong = imports()
    .filter(
      (entry) =>
        entry.room === 'registry' && ['engine', 'builder', 'runtime', 'network'].includes(entry.targetRoom),
    )
    .map((entry) => `${entry.file} -> ${entry.target}`);
  assert.deepEqual(wrong, []);
});

test('a room is entered through its index', () => {
  const around = imports()
    .filter((entry) => entry.room !== entry.targetRoom && entry.room !== 'bin')
    .filter((entry) => !/^[a-z]+\/(index|testing\/index)\.ts$/.test(entry.target))
    .map((entry) => `${entry.file} -> ${entry.target}`);
  assert.deepEqual(around, []);
});

test('only linux starts processes and calls the kernel', () => {
  const wrong = globSync('**/*.ts', { cwd: source })
    .filter(
      (name) =>
        !name.startsWith(`linux${sep}`) &&
        !name.startsWith(`bin${sep}`) &&
        !name.endsWith('.test.ts') &&
        !name.includes('testing'),
    )
    .filter((name) => /from '(koffi|node:child_process)'/.test(readFileSync(join(source, name), 'utf8')));
  assert.deepEqual(wrong, []);
});

test('console, process.exit and process.env stay in bin and cli', () => {
  const wrong = globSync('**/*.ts', { cwd: source })
    .filter((name) => !/^(bin|cli)/.test(name) && !name.endsWith('.test.ts') && !name.includes('testing'))
    .filter((name) =>
      /\bconsole\.|process\.exit\(|process\.env\b/.test(
        readFileSync(join(source, name), 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, ''),
      ),
    );
  assert.deepEqual(wrong, []);
});
