export type { Command, CommandContext } from './command.ts';
export { commands } from './commands/index.ts';
export { connectEngine, defaultHost, engineHost } from './engine-address.ts';
export type { Flag, FlagValues, ParsedArguments } from './flags.ts';
export { type MainOptions, main } from './main.ts';
export { Terminal } from './terminal.ts';
export { versionText } from './version.ts';
