import type { Engine } from '@varve/client';
import type { Command } from './command.ts';
import type { Flag } from './flags.ts';

/**
 * Candidates for the last of the words (which may be empty), one a line: what the shell functions of
 * `varve completion` call. Never fails: a shell prompt is no place for errors.
 */
export async function complete(
  commands: readonly Command[],
  globals: readonly Flag[],
  words: readonly string[],
  engine: () => Promise<Engine>,
): Promise<readonly string[]> {
  const before = words.slice(0, -1);
  const last = words.at(-1) ?? '';
  const paths = commands.flatMap((command) =>
    [command.path, ...(command.aliases ?? [])].map((path) => ({ command, path })),
  );
  const found = paths
    .filter(({ path }) => path.every((word, index) => before[index] === word))
    .sort((a, b) => b.path.length - a.path.length)[0];
  if (!found) {
    const names = paths
      .filter(
        ({ path }) => path.length > before.length && before.every((word, index) => path[index] === word),
      )
      .map(({ path }) => path[before.length] as string);
    const flags = before.length === 0 && last.startsWith('-') ? flagNames(globals) : [];
    return [...new Set([...names, ...flags])].filter((name) => name.startsWith(last)).sort();
  }
  if (last.startsWith('-')) return flagNames(found.command.flags).filter((name) => name.startsWith(last));
  const given = before.slice(found.path.length).filter((word) => !word.startsWith('-')).length;
  const kinds = found.command.completes ?? [];
  const kind = kinds[Math.min(given, kinds.length - 1)];
  try {
    return (await objects(kind, engine)).filter((name) => name.startsWith(last));
  } catch {
    return [];
  }
}

function flagNames(flags: readonly Flag[]): string[] {
  return flags.filter((flag) => flag.hidden !== true).map((flag) => `--${flag.name}`);
}

async function objects(
  kind: NonNullable<Command['completes']>[number] | undefined,
  engine: () => Promise<Engine>,
): Promise<string[]> {
  switch (kind) {
    case 'image':
      return (await (await engine()).images.list()).flatMap((image) => image.RepoTags ?? []);
    case 'container':
      return (await (await engine()).containers.list({ all: true })).flatMap((container) =>
        container.Names.map((name) => name.slice(1)),
      );
    case 'network':
      return (await (await engine()).networks.list()).map((network) => network.Name);
    case 'volume':
      return ((await (await engine()).volumes.list()).Volumes ?? []).map((volume) => volume.Name);
    case 'file':
    case 'none':
    case undefined:
      return [];
  }
}

/** The functions that make a shell call `varve __complete`. */
export const completionScripts: Readonly<Record<'bash' | 'zsh' | 'fish', string>> = {
  bash: `_varve() {
  local IFS=$'\\n'
  COMPREPLY=($(varve __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _varve varve
`,
  zsh: `#compdef varve
_varve() {
  local -a found
  found=("\${(@f)$(varve __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -- $found
}
compdef _varve varve
`,
  fish: `complete -c varve -f -a '(varve __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
};
