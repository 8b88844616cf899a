import type { Action } from '../auth/index.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { createRobotAccount, explainOwnAccess, listRobots, removeRobot } from './accounts.ts';
import { base, listReferrers, listRepositories, listTags } from './listings.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import { showPage } from './pages.ts';
import type { RouteKind } from './router.ts';
import type { Handler } from './services.ts';
import { giveToken, giveTokenForForm, publishKeys } from './token.ts';
import { appendUpload, cancelUpload, finishUpload, startUpload, uploadStatus } from './uploads.ts';

/** What a method of a route does, and what a client must be allowed to for it. */
export interface Operation {
  readonly handler: Handler;
  /** Absent: the handler asks itself. */
  readonly action?: Action;
  /** Refused by a read-only registry. */
  readonly writes?: true;
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Operations = Readonly<Partial<Record<Method, Operation>>>;

function readable(handler: Handler, action: Action = 'pull'): Operations {
  return { GET: { handler, action }, HEAD: { handler, action } };
}

/** The API: spec.md#endpoints, `_catalog`, the embedded token server, and what is ours under `/varve`. */
export const routes: Readonly<Record<RouteKind, Operations>> = {
  base: readable(base),
  catalog: readable(listRepositories, 'list'),
  tags: readable(listTags),
  referrers: readable(listReferrers),
  manifest: {
    ...readable(getManifest),
    PUT: { handler: putManifest, action: 'push', writes: true },
    DELETE: { handler: deleteManifest, action: 'delete', writes: true },
  },
  blob: {
    ...readable(getBlob),
    DELETE: { handler: deleteBlob, action: 'delete', writes: true },
  },
  token: { GET: { handler: giveToken }, POST: { handler: giveTokenForForm } },
  keys: { GET: { handler: publishKeys } },
  robots: {
    GET: { handler: listRobots },
    POST: { handler: createRobotAccount, writes: true },
  },
  robot: { DELETE: { handler: removeRobot, writes: true } },
  access: { GET: { handler: explainOwnAccess } },
  page: { GET: { handler: showPage }, HEAD: { handler: showPage }, POST: { handler: showPage } },
  uploads: { POST: { handler: startUpload, action: 'push', writes: true } },
  upload: {
    ...readable(uploadStatus, 'push'),
    PATCH: { handler: appendUpload, action: 'push', writes: true },
    PUT: { handler: finishUpload, action: 'push', writes: true },
    DELETE: { handler: cancelUpload, action: 'push', writes: true },
  },
};
