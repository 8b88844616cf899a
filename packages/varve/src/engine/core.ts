import type { Builder } from '../builder/index.ts';
import type { Cleanups } from './cleanups.ts';
import type { Container } from './container.ts';
import type { ContainerStore } from './container-store.ts';
import type { EventBus } from './events.ts';
import type { ExecStore } from './exec-store.ts';
import type { EngineParts } from './parts.ts';

/** What every use case of the engine works on. */
export interface EngineCore extends EngineParts {
  readonly containers: ContainerStore;
  readonly execs: ExecStore;
  readonly events: EventBus;
  readonly build: Builder | undefined;
  readonly cleanups: Cleanups;
  /** Fires when the engine begins to stop. */
  readonly closing: AbortController;
  /** Resolved when what an earlier engine left is in order. No container starts before: the sweep would take it for a leftover. */
  readonly restored: PromiseWithResolvers<void>;
  /** Id of the kernel's present boot. */
  readonly bootId: string;
  /** Stable id of this engine, for info. */
  readonly id: string;
}

/** Docker's event attributes of a container: its labels, image and name. */
function containerAttributes(
  container: Container,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { config, name } = container.record;
  return { ...config.Labels, ...more, image: config.Image, name };
}

/** Publishes a container's event. */
export function publishContainer(
  core: EngineCore,
  container: Container,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  core.events.publish('container', action, container.id, containerAttributes(container, more));
}
