import type { Command } from '../command.ts';
import { engineHost } from '../engine-address.ts';
import { formatTable } from '../output/table.ts';

const marks = { pass: ['green', 'ok'], warn: ['yellow', 'warn'], fail: ['red', 'FAIL'] } as const;

export const doctorCommand: Command = {
  path: ['doctor'],
  group: 'system',
  summary: 'Check what this machine gives an engine, and say what to do about the rest',
  description: 'Starts no engine. Exit code 1 when a check fails; warnings are none.',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    {
      name: 'data-root',
      type: 'string',
      value: 'folder',
      default: '/var/lib/varve',
      description: 'Folder whose disk is looked at',
    },
    { name: 'json', type: 'boolean', description: 'Print the findings as JSON' },
  ],
  examples: [
    { command: 'varve doctor', does: 'All checks' },
    { command: 'varve doctor --json', does: 'For a program' },
  ],
  run: async ({ terminal, environment, host, storageDrivers }, { flags }) => {
    // Loaded only here: they bring the system calls along.
    const { examine } = await import('../doctor.ts');
    const { Engine } = await import('@varve/client');
    const address = engineHost(host, environment).host;
    const dataRoot = flags.string('data-root') ?? '/var/lib/varve';
    const findings = await examine({
      dataRoot,
      drivers: await storageDrivers(dataRoot),
      host: address,
      engine: async () => new Engine({ host: address }),
    });
    if (flags.boolean('json')) terminal.print(JSON.stringify(findings, null, 2));
    else {
      const [header = '', ...lines] = formatTable(
        ['STATUS', 'CHECK', 'FOUND', 'TO DO'],
        findings.map(({ title, status, detail, fix }) => [marks[status][1], title, detail, fix ?? '']),
      );
      terminal.print(header);
      for (const [index, line] of lines.entries()) {
        const [colour, word] = marks[findings[index]?.status ?? 'fail'];
        terminal.print(terminal.style(colour, word) + line.slice(word.length));
      }
    }
    return findings.some(({ status }) => status === 'fail') ? 1 : 0;
  },
};
