/** Writes docs/reference from the tables of commands, API routes and the registry's configuration; `scripts/reference.test.ts` checks that it is current. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { routes } from '../packages/varve/src/api/index.ts';
import { engineCommand } from '../packages/varve/src/bin/engine-command.ts';
import { migrateCommand } from '../packages/varve/src/bin/migrate-command.ts';
import { registryCommands } from '../packages/varve/src/bin/registry.ts';
import { type Command, commands } from '../packages/varve/src/cli/index.ts';
import { configJsonSchema, configKeys } from '../packages/varve/src/registry/index.ts';

const folder = resolve(import.meta.dirname, '../docs/reference');
const cell = (text: string): string => text.replaceAll('|', '\\|');

function commandPage(command: Command): string[] {
  const name = `varve ${command.path.join(' ')}`;
  const lines = [
    `## ${name}`,
    '',
    `\`${`${name} ${command.usage}`.trim()}\``,
    '',
    command.summary + (/[.!]$/.test(command.summary) ? '' : '.'),
  ];
  if (command.description !== undefined) lines.push('', command.description);
  if (command.aliases && command.aliases.length > 0) {
    lines.push('', `Also: ${command.aliases.map((path) => `\`varve ${path.join(' ')}\``).join(', ')}.`);
  }
  const flags = command.flags.filter((flag) => flag.hidden !== true);
  if (flags.length > 0) {
    lines.push('', '| flag | takes | does |', '|---|---|---|');
    for (const flag of flags) {
      const shown = `${flag.short === undefined ? '' : `-${flag.short}, `}--${flag.name}`;
      const takes =
        flag.type === 'boolean'
          ? ''
          : `${flag.value ?? flag.type}${flag.type === 'list' ? ', repeatable' : ''}`;
      const standard =
        flag.default === undefined || flag.default === false
          ? ''
          : ` (default ${JSON.stringify(flag.default)})`;
      lines.push(`| \`${shown}\` | ${cell(takes)} | ${cell(flag.description + standard)} |`);
    }
  }
  if (command.examples.length > 0) {
    lines.push('', '```sh');
    for (const example of command.examples) lines.push(`# ${example.does}`, example.command);
    lines.push('```');
  }
  return [...lines, ''];
}

/** The pages by file name. */
export function referencePages(): Readonly<Record<string, string>> {
  const all = [...commands, engineCommand, migrateCommand, ...registryCommands].sort((a, b) =>
    a.path.join(' ') < b.path.join(' ') ? -1 : 1,
  );
  const note = 'Generated from the tables in the code by `node scripts/reference.ts`; do not edit.';
  return {
    'commands.md': ['# Commands', '', note, '', ...all.flatMap(commandPage)].join('\n'),
    'api.md': [
      '# HTTP API',
      '',
      note,
      '',
      'Paths are Docker’s, with and without `/v1.24` to `/v1.51` before them; those under `/varve` are our own.',
      '',
      '| method | path | since |',
      '|---|---|---|',
      ...routes.map(
        (route) =>
          `| ${route.method} | \`${route.path}\` | ${route.since === undefined ? '' : `1.${route.since % 1000}`} |`,
      ),
      '',
    ].join('\n'),
    'registry.md': [
      '# Configuration of the registry',
      '',
      note,
      '',
      'The same as a JSON Schema, for editors: [registry.schema.json](registry.schema.json). `[]` stands for each item of a list.',
      '',
      '| key | default | |',
      '|---|---|---|',
      ...configKeys().map(
        ({ path, fallback, description }) =>
          `| \`${path}\` | ${fallback === undefined ? '' : `\`${cell(fallback)}\``} | ${cell(description)} |`,
      ),
      '',
    ].join('\n'),
    'registry.schema.json': `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`,
  };
}

if (import.meta.main) {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(referencePages())) writeFileSync(join(folder, name), text);
}
