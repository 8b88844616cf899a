import type { Route } from '../route.ts';
import { absentRoutes } from './absent.ts';
import { archiveRoutes } from './archive.ts';
import { buildRoutes } from './build.ts';
import { containerRoutes } from './containers.ts';
import { distributionRoutes } from './distribution.ts';
import { eventRoutes } from './events.ts';
import { execRoutes } from './exec.ts';
import { explainRoutes } from './explain.ts';
import { imageRoutes } from './images.ts';
import { networkRoutes } from './networks.ts';
import { streamRoutes } from './streams.ts';
import { systemRoutes } from './system.ts';
import { transferRoutes } from './transfer.ts';
import { volumeRoutes } from './volumes.ts';

/** The whole API, in the order in which paths are tried. */
export const routes: readonly Route[] = [
  ...systemRoutes,
  ...eventRoutes,
  ...containerRoutes,
  ...streamRoutes,
  ...archiveRoutes,
  ...execRoutes,
  ...transferRoutes,
  ...explainRoutes,
  ...imageRoutes,
  ...buildRoutes,
  ...distributionRoutes,
  ...networkRoutes,
  ...volumeRoutes,
  ...absentRoutes,
];
