import { formatBytes } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { formatTable } from '../output/table.ts';

/** The engine's answer. */
interface CheckReport {
  readonly blobs: number;
  readonly bytes: number;
  readonly images: number;
  readonly snapshots: number;
  readonly containers: number;
  readonly problems: readonly {
    readonly part: string;
    readonly subject: string;
    readonly problem: string;
  }[];
  readonly repaired: boolean;
}

export const checkCommand: Command = {
  path: ['system', 'check'],
  group: 'system',
  summary: "Compare the engine's records with its files, byte by byte",
  description:
    'Reads every blob and compares it with its digest; looks for the layers of every image and container. Exit code 1 when something is wrong.',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'json', type: 'boolean', description: 'Print the report as JSON' },
    {
      name: 'repair',
      type: 'boolean',
      description: 'Set damaged blobs aside, so that the next pull fetches them again',
    },
  ],
  examples: [
    { command: 'varve system check', does: 'Say what is wrong' },
    { command: 'varve system check --repair', does: 'Set damaged blobs aside, too' },
  ],
  run: async (context, { flags }) => {
    const { terminal, signal } = context;
    const report = await (await context.engine()).check<CheckReport>({
      repair: flags.boolean('repair'),
      signal,
    });
    const { problems } = report;
    if (flags.boolean('json')) terminal.print(JSON.stringify(report, null, 2));
    else {
      terminal.print(
        `${report.blobs} blobs (${formatBytes(report.bytes)}), ${report.images} images, ${report.snapshots} snapshots, ${report.containers} containers`,
      );
      if (problems.length === 0) terminal.print('all as recorded');
      else {
        const rows = problems.map(({ part, subject, problem }) => [part, subject, problem]);
        for (const line of formatTable(['PART', 'SUBJECT', 'PROBLEM'], rows)) terminal.print(line);
        if (report.repaired) terminal.print('damaged blobs are set aside; pull their images again');
      }
    }
    return problems.length === 0 ? 0 : 1;
  },
};
