import { parentPort } from 'node:worker_threads';
import { type ErrorKind, VarveError } from '../../base/index.ts';
import type { Usage } from '../types.ts';
import { copyTree } from './copy-tree.ts';
import { deleteSubvolumes } from './delete-subvolumes.ts';
import { deleteTree } from './delete-tree.ts';
import { findWhiteouts } from './find-whiteouts.ts';
import { linkTree } from './link-tree.ts';
import { measureTree } from './measure-tree.ts';
import { type Survey, type SurveyPlan, surveyTree } from './survey-tree.ts';

/** What the thread can be asked for. */
export type Job =
  | { readonly type: 'delete'; readonly path: string }
  | { readonly type: 'measure'; readonly path: string; readonly below: string | undefined }
  | { readonly type: 'survey'; readonly path: string; readonly plan: SurveyPlan }
  | { readonly type: 'whiteouts'; readonly path: string }
  | { readonly type: 'copy'; readonly from: string; readonly to: string }
  | { readonly type: 'link'; readonly stack: readonly string[]; readonly to: string };

/** To the thread: a job, or word that there will be no more. */
export type StorageMessage = { readonly id: number; readonly job: Job } | 'end';

export interface JobReply {
  readonly usage?: Usage;
  readonly survey?: Survey;
  readonly whiteouts?: readonly string[];
  readonly error?: { readonly kind: ErrorKind; readonly code: string; readonly message: string };
}

function perform(job: Job): JobReply {
  switch (job.type) {
    case 'delete':
      deleteSubvolumes(job.path);
      deleteTree(job.path);
      return {};
    case 'measure':
      return { usage: measureTree(job.path, job.below) };
    case 'survey':
      return { survey: surveyTree(job.path, job.plan) };
    case 'whiteouts':
      return { whiteouts: findWhiteouts(job.path) };
    case 'copy':
      copyTree(job.from, job.to);
      return {};
    case 'link':
      linkTree(job.stack, job.to);
      return {};
  }
}

parentPort?.on('message', (message: StorageMessage) => {
  if (message === 'end') {
    parentPort?.close();
    return;
  }
  const { id, job } = message;
  let reply: JobReply;
  try {
    reply = perform(job);
  } catch (thrown) {
    const { kind, code, message } = VarveError.from(thrown);
    reply = { error: { kind, code, message } };
  }
  parentPort?.postMessage({ id, reply });
});
