import { Writable } from 'node:stream';
import { VarveError } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { configPath, dockerConfig } from '../credentials.ts';
import type { Terminal } from '../terminal.ts';

async function question(terminal: Terminal, text: string, hidden: boolean): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  terminal.stdout.write(text);
  const reader = createInterface({
    input: terminal.stdin,
    output: hidden ? silent : terminal.stdout,
    terminal: hidden,
  });
  try {
    return await reader.question('');
  } finally {
    reader.close();
    if (hidden) terminal.print();
  }
}

async function readAll(terminal: Terminal): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of terminal.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks)
    .toString()
    .replace(/\r?\n$/, '');
}

const login: Command = {
  path: ['login'],
  group: 'registry',
  summary: 'Keep credentials for a registry',
  usage: '[OPTIONS] [SERVER]',
  arity: { min: 0, max: 1 },
  flags: [
    { name: 'username', short: 'u', type: 'string', value: 'name', description: 'User name' },
    {
      name: 'password',
      short: 'p',
      type: 'string',
      value: 'password',
      description: 'Password (visible to others: prefer --password-stdin)',
    },
    { name: 'password-stdin', type: 'boolean', description: 'Read the password from stdin' },
  ],
  examples: [
    {
      command: 'varve login -u me --password-stdin registry.example < token',
      does: 'Without leaving the password in the shell history',
    },
  ],
  run: async (context, { flags, arguments: [server = 'docker.io'] }) => {
    const { terminal } = context;
    if (flags.boolean('password-stdin') && !flags.given('username'))
      throw new VarveError('invalid', 'USAGE', 'Must provide --username with --password-stdin');
    const asks = !flags.given('username') || !(flags.given('password') || flags.boolean('password-stdin'));
    if (asks && !terminal.stdin.isTTY) {
      throw new VarveError(
        'invalid',
        'NOT_A_TERMINAL',
        'Error: Cannot perform an interactive login from a non TTY device',
      );
    }
    if (flags.given('password'))
      terminal.warn('WARNING! Using --password via the CLI is insecure. Use --password-stdin.');
    const username = flags.string('username') ?? (await question(terminal, 'Username: ', false));
    const password = flags.boolean('password-stdin')
      ? await readAll(terminal)
      : (flags.string('password') ?? (await question(terminal, 'Password: ', true)));
    if (username === '' || password === '')
      throw new VarveError('invalid', 'USAGE', 'username and password must not be empty');
    const { Status, IdentityToken } = await (await context.engine()).auth({
      username,
      password,
      serveraddress: server,
    });
    await (await dockerConfig(context.environment)).login(
      server,
      IdentityToken ? { username, identityToken: IdentityToken } : { username, password },
    );
    terminal.warn(
      `Credentials are kept in ${configPath(context.environment)}${flags.given('password') ? '; the password is readable there' : ''}.`,
    );
    terminal.print(Status);
  },
};

const logout: Command = {
  path: ['logout'],
  group: 'registry',
  summary: 'Forget the credentials for a registry',
  usage: '[SERVER]',
  arity: { min: 0, max: 1 },
  flags: [],
  examples: [{ command: 'varve logout registry.example', does: 'For one registry' }],
  run: async (context, { arguments: [server = 'docker.io'] }) => {
    await (await dockerConfig(context.environment)).logout(server);
    context.terminal.print(`Removing login credentials for ${server}`);
  },
};

export const loginCommands: readonly Command[] = [login, logout];
