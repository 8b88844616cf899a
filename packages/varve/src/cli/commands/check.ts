import { formatBytes } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { formatTable } from '../output/table.ts';
import type { Terminal } from '../terminal.ts';

interface Finding {
  readonly kind: string;
  readonly part: string;
  readonly subject: string;
  readonly problem: string;
  readonly todo: string;
  readonly repair?: { readonly action: string; readonly detail: string };
}

/** The engine's answer. */
interface CheckReport {
  readonly blobs: number;
  readonly bytes: number;
  readonly images: number;
  readonly snapshots: number;
  readonly containers: number;
  readonly problems: readonly Finding[];
  readonly repaired: boolean;
  readonly remaining: readonly Finding[];
}

function printReport(terminal: Terminal, report: CheckReport): void {
  const { blobs, bytes, images, snapshots, containers, problems, repaired, remaining } = report;
  terminal.print(
    `${blobs} blobs (${formatBytes(bytes)}), ${images} images, ${snapshots} snapshots, ${containers} containers`,
  );
  if (problems.length === 0) {
    terminal.print('all as recorded');
    return;
  }
  const done = ({ repair }: Finding): string =>
    repair === undefined ? '' : [repair.action, repair.detail].filter((word) => word !== '').join(': ');
  const header = ['KIND', 'SUBJECT', 'PROBLEM', repaired ? 'DONE' : 'TO DO'];
  const rows = problems.map((item) => [
    item.kind,
    item.subject,
    item.problem,
    repaired ? done(item) : item.todo,
  ]);
  for (const line of formatTable(header, rows)) terminal.print(line);
  if (!repaired) {
    terminal.print('`varve system check --repair` does what can be done');
    return;
  }
  if (remaining.length === 0) {
    terminal.print('all is repaired');
    return;
  }
  terminal.print(`\n${remaining.length} left:`);
  const left = remaining.map(({ kind, subject, problem, todo }) => [kind, subject, problem, todo]);
  for (const line of formatTable(['KIND', 'SUBJECT', 'PROBLEM', 'TO DO'], left)) terminal.print(line);
}

export const checkCommand: Command = {
  path: ['system', 'check'],
  group: 'system',
  summary: "Compare the engine's records with its files, byte by byte",
  description:
    'Reads every blob and compares it with its digest, and every layer with its blob; compares records, snapshots, indexes, folders and mounts with each other, both ways; looks for what containers that do not run left on the host. Containers go on running. Exit code 1 when something is wrong, or still is after a repair.',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'json', type: 'boolean', description: 'Print the report as JSON' },
    {
      name: 'repair',
      type: 'boolean',
      description:
        'Pull, unpack or record again what can be; move what cannot be used to the folder quarantine of the data root; end what leaked',
    },
  ],
  examples: [
    { command: 'varve system check', does: 'Say what is wrong' },
    { command: 'varve system check --repair', does: 'Do something about it, and look again' },
  ],
  run: async (context, { flags }) => {
    const { terminal, signal } = context;
    const { stderr } = terminal;
    const shows = stderr.isTTY;
    const clear = (): void => void (shows && stderr.write('\r\u001b[K'));
    const report = await (await context.engine())
      .check<CheckReport>({
        repair: flags.boolean('repair'),
        signal,
        ...(shows
          ? {
              onProgress: ({ step, subject, done, total }) => {
                clear();
                stderr.write(`${step} ${done}/${total} ${subject}`.slice(0, terminal.width - 1));
              },
            }
          : {}),
      })
      .finally(clear);
    if (flags.boolean('json')) terminal.print(JSON.stringify(report, null, 2));
    else printReport(terminal, report);
    return report.remaining.length === 0 ? 0 : 1;
  },
};
