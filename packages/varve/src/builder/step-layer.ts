import type { ChainID } from '../oci/index.ts';
import { unpacked } from './base-image.ts';
import type { MadeStep } from './cached-step.ts';
import type { Session } from './session.ts';
import type { StageState } from './stage-state.ts';

/** What a `--from` or a mount's `from` leads to: the build context, or the layers of a stage or an image. */
export type Tree =
  | { readonly kind: 'context' }
  | { readonly kind: 'layers'; readonly chain: ChainID | undefined };

/** Finds the tree that `from` names in the stage being built; undefined names the context. */
export type FindTree = (from: string | undefined) => Promise<Tree>;

/** What the steps of one stage work with. */
export interface StepContext {
  readonly session: Session;
  readonly stage: StageState;
  readonly findTree: FindTree;
}

/** Does `work` on a writable root over the stage's layers; see Workspace.layer. */
export async function makeLayer(
  { session, stage }: StepContext,
  id: string,
  work: (root: string) => Promise<boolean>,
): Promise<MadeStep> {
  const image = await stage.local(session.options.images);
  const parent = image ? await unpacked(session, image) : undefined;
  const made = await session.workspace.layer(id, parent, work);
  return { diffId: made?.diffId, size: made?.size ?? 0 };
}
