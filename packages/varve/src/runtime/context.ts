import type { CgroupLayout } from '../linux/index.ts';
import type { ConmonLauncher } from './conmon.ts';
import type { ExitWatcher } from './exits.ts';
import type { Layout } from './layout.ts';
import type { RuntimeProgram } from './runtime-program.ts';

/** The parts that the operations of a runtime share. */
export interface RuntimeContext {
  readonly layout: Layout;
  readonly cgroups: CgroupLayout;
  readonly cgroupParent: string;
  readonly program: RuntimeProgram;
  readonly launcher: ConmonLauncher;
  readonly exits: ExitWatcher;
}

/** Names that may become folders and control groups. */
export const validId = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
