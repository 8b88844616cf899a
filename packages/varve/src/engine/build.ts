import { VarveError } from '../base/index.ts';
import type { BuildEvent, BuildRequest } from '../builder/index.ts';
import type { EngineCore } from './core.ts';

/** Builds an image. @throws VarveError `not-implemented` when the engine was composed without a builder. */
export async function* buildImage(core: EngineCore, request: BuildRequest): AsyncGenerator<BuildEvent> {
  if (!core.build) {
    throw new VarveError('not-implemented', 'NO_BUILDER', 'this engine was started without a builder');
  }
  for await (const event of core.build.build(request)) {
    if (event.type === 'done') {
      for (const tag of event.tags) core.events.publish('image', 'tag', event.image, { name: tag });
    }
    yield event;
  }
}
