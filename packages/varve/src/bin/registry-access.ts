import { parseDuration, VarveError } from '../base/index.ts';
import type { Command, CommandContext, Flag, FlagValues } from '../cli/index.ts';
import type { Accounts, Identity } from '../registry/index.ts';
import { configOf } from './registry-config.ts';

const configFlag: Flag = {
  name: 'config',
  short: 'c',
  type: 'string',
  value: 'file',
  description: 'Configuration of the registry; REGISTRY_… variables go before it',
};
const jsonFlag: Flag = { name: 'json', type: 'boolean', description: 'Print JSON' };

async function accountsOf(context: CommandContext, flags: FlagValues): Promise<Accounts> {
  const { openAccounts } = await import('../registry/index.ts');
  return await openAccounts(await configOf(context, flags.string('config')));
}

function timeOf(milliseconds: number | undefined): string {
  return milliseconds === undefined ? 'never' : new Date(milliseconds).toISOString();
}

const create: Command = {
  path: ['registry', 'robot', 'create'],
  group: 'registry',
  summary: 'Make a robot account and show its secret, once',
  description:
    'The robot logs in as robot+NAME and may do what it is given here and what rules give it. The registry may be serving: the account is there with its next request.',
  usage: '[OPTIONS] NAME',
  arity: { min: 1, max: 1 },
  flags: [
    configFlag,
    {
      name: 'repository',
      short: 'r',
      type: 'list',
      value: 'glob',
      description: 'Repositories it may use, such as team-a/**',
    },
    {
      name: 'action',
      short: 'a',
      type: 'list',
      value: 'action',
      description: 'What it may do there: pull, push, delete or * (pull when not given)',
    },
    {
      name: 'expires',
      type: 'string',
      value: 'duration',
      description: 'Ends it after this time, such as 720h',
    },
    { name: 'description', type: 'string', value: 'text', description: 'What it is for' },
    jsonFlag,
  ],
  examples: [
    {
      command: "varve registry robot create ci -r 'team-a/**' -a pull,push --expires 720h -c registry.yml",
      does: 'For a month of one team’s builds',
    },
  ],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const { createRobot, robotPrefix } = await import('../registry/index.ts');
    await using accounts = await accountsOf(context, flags);
    const repositories = flags.list('repository');
    const actions = flags.list('action').flatMap((text) => text.split(','));
    const expires = flags.string('expires');
    const { record, secret } = await createRobot(accounts.robots, {
      name,
      grants:
        repositories.length === 0
          ? []
          : [{ repositories, actions: actions.length === 0 ? ['pull'] : actions }],
      description: flags.string('description'),
      expiresAt: expires === undefined ? undefined : Date.now() + parseDuration(expires) / 1e6,
    });
    const username = robotPrefix + record.name;
    if (flags.boolean('json')) {
      const expiresAt = record.expiresAt === undefined ? null : timeOf(record.expiresAt);
      context.terminal.print(JSON.stringify({ username, secret, expiresAt }));
      return;
    }
    context.terminal.warn(`${username}, expires ${timeOf(record.expiresAt)}. Its secret is not shown again:`);
    context.terminal.print(secret);
  },
};

const list: Command = {
  path: ['registry', 'robot', 'list'],
  aliases: [['registry', 'robot', 'ls']],
  group: 'registry',
  summary: 'List the robot accounts',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [configFlag, jsonFlag],
  examples: [
    { command: 'varve registry robot list -c registry.yml', does: 'With what they may do, and until when' },
  ],
  run: async (context, { flags }) => {
    const { hasExpired } = await import('../registry/index.ts');
    await using accounts = await accountsOf(context, flags);
    const robots = await accounts.robots.list();
    if (flags.boolean('json')) {
      const shown = robots.map(({ secretHash: _secret, ...robot }) => robot);
      context.terminal.print(JSON.stringify(shown, undefined, 2));
      return;
    }
    for (const robot of robots) {
      const grants = robot.grants.map(
        (grant) => `${grant.repositories.join(' ')}: ${grant.actions.join(',')}`,
      );
      const end = hasExpired(robot) ? 'expired' : `expires ${timeOf(robot.expiresAt)}`;
      context.terminal.print(`robot+${robot.name}  ${end}  ${grants.join('; ')}`.trimEnd());
    }
  },
};

const remove: Command = {
  path: ['registry', 'robot', 'remove'],
  aliases: [['registry', 'robot', 'rm']],
  group: 'registry',
  summary: 'Remove a robot account',
  usage: '[OPTIONS] NAME',
  arity: { min: 1, max: 1 },
  flags: [configFlag],
  examples: [
    { command: 'varve registry robot remove ci -c registry.yml', does: 'Its next request is refused' },
  ],
  run: async (context, { flags, arguments: [name = ''] }) => {
    await using accounts = await accountsOf(context, flags);
    if (!(await accounts.robots.remove(name))) {
      throw new VarveError('not-found', 'NO_SUCH_ROBOT', `No such robot: ${name}`, { subject: name });
    }
    context.terminal.print(name);
  },
};

const explain: Command = {
  path: ['registry', 'explain-access'],
  group: 'registry',
  summary: 'Say who may do what to a repository, and which rule decides',
  description:
    'Asks the function that the server asks. Without --user, --robot or --workload it answers for who has not logged in. The exit code is 0 when it is allowed and 1 when not.',
  usage: '[OPTIONS] [CONFIG.YML]',
  arity: { min: 0, max: 1 },
  flags: [
    { name: 'user', short: 'u', type: 'string', value: 'name', description: 'A user' },
    { name: 'robot', type: 'string', value: 'name', description: 'A robot account, with its grants' },
    {
      name: 'workload',
      type: 'string',
      value: 'name',
      description: 'A CI job, by the name its mapping gives it',
    },
    {
      name: 'group',
      type: 'list',
      value: 'name',
      description: 'A group that a token or certificate puts them in, besides those of the configuration',
    },
    { name: 'repository', short: 'r', type: 'string', value: 'name', description: 'The repository' },
    {
      name: 'action',
      short: 'a',
      type: 'string',
      description: 'What they would do',
      choices: ['pull', 'push', 'delete'],
      default: 'pull',
    },
    jsonFlag,
  ],
  examples: [
    {
      command:
        'varve registry explain-access --user alice --repository team-a/app --action push registry.yml',
      does: 'Scope asked, scope held, the rule that decided',
    },
  ],
  completes: ['file'],
  run: async (context, { flags, arguments: [path] }) => {
    const { explainAccess, hasExpired, namedIdentity, openAccounts } = await import('../registry/index.ts');
    const config = await configOf(context, path);
    const repository = flags.string('repository');
    if (repository === undefined)
      throw new VarveError('invalid', 'USAGE', 'name a repository with --repository');
    const given = (['user', 'robot', 'workload'] as const).filter((kind) => flags.given(kind));
    if (given.length > 1)
      throw new VarveError('invalid', 'USAGE', `--${given.join(' and --')} contradict each other`);
    const kind = given[0] ?? 'anonymous';
    let identity: Identity = namedIdentity(kind, flags.string(kind) ?? '', flags.list('group'));
    if (kind === 'robot') {
      await using accounts = await openAccounts(config);
      const record = await accounts.robots.find(identity.name);
      if (!record || hasExpired(record)) {
        const why = record ? 'has expired' : 'is not there';
        throw new VarveError('not-found', 'NO_SUCH_ROBOT', `the robot ${identity.name} ${why}`, {
          subject: identity.name,
        });
      }
      identity = { ...identity, grants: record.grants };
    }
    const action = (flags.string('action') ?? 'pull') as 'pull' | 'push' | 'delete';
    const answer = explainAccess(config.auth, identity, repository, action);
    const { terminal } = context;
    if (flags.boolean('json')) {
      terminal.print(JSON.stringify(answer, undefined, 2));
    } else {
      const groups = answer.groups.length === 0 ? '' : ` (groups ${answer.groups.join(', ')})`;
      terminal.print(`${answer.subject}${groups} may${answer.allowed ? '' : ' not'} ${action} ${repository}`);
      terminal.print(`decided:  ${answer.reason}${answer.rule === undefined ? '' : `: ${answer.rule}`}`);
      terminal.print(`asked:    ${answer.asked}`);
      terminal.print(
        `held:     ${answer.held.length === 0 ? 'nothing' : `repository:${repository}:${answer.held.join(',')}`}`,
      );
    }
    return answer.allowed ? 0 : 1;
  },
};

export const registryAccessCommands: readonly Command[] = [create, list, remove, explain];
