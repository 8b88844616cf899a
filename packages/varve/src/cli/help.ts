import type { Command } from './command.ts';
import type { Flag } from './flags.ts';

const groups: readonly (readonly [Command['group'], string])[] = [
  ['common', 'Common commands'],
  ['explain', 'Explain: what no other engine tells'],
  ['image', 'Images'],
  ['builder', 'Builder'],
  ['container', 'Containers'],
  ['network', 'Networks'],
  ['volume', 'Volumes'],
  ['registry', 'Registry'],
  ['system', 'System'],
];

/** Breaks text into lines of at most `width` characters. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = '';
      }
      line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}

function columns(rows: readonly (readonly [string, string])[], width: number): string[] {
  const left = Math.max(...rows.map(([name]) => name.length)) + 3;
  return rows.flatMap(([name, text]) =>
    wrap(text, Math.max(width - left - 2, 24)).map(
      (line, index) => `  ${(index === 0 ? name : '').padEnd(left)}${line}`,
    ),
  );
}

function flagName(flag: Flag): string {
  const value = flag.type === 'boolean' ? '' : ` ${flag.value ?? flag.type}`;
  return `${flag.short === undefined ? '    ' : `-${flag.short}, `}--${flag.name}${value}`;
}

function flagText(flag: Flag): string {
  const choices = flag.choices === undefined ? '' : ` (${flag.choices.join(', ')})`;
  const standard =
    flag.default === undefined || flag.default === false ? '' : ` (default ${JSON.stringify(flag.default)})`;
  return flag.description + choices + standard;
}

/** The page of `varve COMMAND --help`: usage, what it does, aliases, examples, flags. */
export function commandHelp(command: Command, width: number): string {
  const name = `varve ${command.path.join(' ')}`;
  const lines = [`Usage:  ${name} ${command.usage}`.trimEnd(), '', ...wrap(command.summary, width)];
  if (command.description !== undefined) lines.push('', ...wrap(command.description, width));
  const aliases = [command.path, ...(command.aliases ?? [])].map((path) => `varve ${path.join(' ')}`);
  if (aliases.length > 1) lines.push('', 'Aliases:', `  ${aliases.join(', ')}`);
  if (command.examples.length > 0) {
    lines.push('', 'Examples:');
    for (const example of command.examples) lines.push(`  # ${example.does}`, `  ${example.command}`);
  }
  const shown = command.flags.filter((flag) => flag.hidden !== true);
  if (shown.length > 0) {
    lines.push(
      '',
      'Options:',
      ...columns(
        shown.map((flag) => [flagName(flag), flagText(flag)] as const),
        width,
      ),
    );
  }
  return lines.join('\n');
}

/** The list of commands, under their headings; with `prefix`, of those that start with it. */
export function overview(
  commands: readonly Command[],
  globals: readonly Flag[],
  prefix: readonly string[],
  width: number,
): string {
  const lines = [
    `Usage:  varve ${prefix.length === 0 ? '[OPTIONS] COMMAND' : `${prefix.join(' ')} COMMAND`}`,
    '',
    prefix.length === 0
      ? 'Containers, images and a registry that explain themselves.'
      : `Commands of ${prefix.join(' ')}.`,
  ];
  for (const [group, title] of groups) {
    const rows = commands
      .filter((command) => command.group === group)
      .map((command) => [nameUnder(command, prefix), command.summary] as const)
      .filter((row): row is readonly [string, string] => row[0] !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    if (rows.length > 0) lines.push('', `${title}:`, ...columns(rows, width));
  }
  if (prefix.length === 0) {
    lines.push(
      '',
      'Global options:',
      ...columns(
        globals.map((flag) => [flagName(flag), flagText(flag)] as const),
        width,
      ),
    );
  }
  lines.push('', `Run 'varve ${[...prefix, 'COMMAND'].join(' ')} --help' for more on a command.`);
  return lines.join('\n');
}

/** The shortest of the command's names that starts with the prefix, without it; undefined when none does. */
function nameUnder(command: Command, prefix: readonly string[]): string | undefined {
  return [command.path, ...(command.aliases ?? [])]
    .filter((path) => path.length > prefix.length && prefix.every((word, index) => path[index] === word))
    .map((path) => path.slice(prefix.length).join(' '))
    .sort((a, b) => a.split(' ').length - b.split(' ').length)[0];
}
