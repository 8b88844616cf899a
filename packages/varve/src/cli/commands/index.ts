import type { Command } from '../command.ts';
import { buildCommands } from './build.ts';
import { checkCommand } from './check.ts';
import { containerCommands } from './containers.ts';
import { copyCommand } from './copy.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommands } from './explain.ts';
import { imageTransferCommands } from './image-transfer.ts';
import { imageCommands } from './images.ts';
import { inspectCommands } from './inspect.ts';
import { lifecycleCommands } from './lifecycle.ts';
import { loginCommands } from './login.ts';
import { networkCommands } from './networks.ts';
import { createCommand, runCommand } from './run.ts';
import { systemCommands } from './system.ts';
import { volumeCommands } from './volumes.ts';

/** Every command that talks to an engine or works on its own; those that start servers are added in bin/. */
export const commands: readonly Command[] = [
  runCommand,
  createCommand,
  ...lifecycleCommands,
  ...containerCommands,
  copyCommand,
  ...explainCommands,
  ...buildCommands,
  ...imageCommands,
  ...imageTransferCommands,
  ...inspectCommands,
  ...networkCommands,
  ...volumeCommands,
  ...loginCommands,
  ...systemCommands,
  checkCommand,
  doctorCommand,
];
