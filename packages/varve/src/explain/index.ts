export { type Advice, adviceFor } from './advice.ts';
export { explainPath, type PathExplanation, type PathFinding, type WriteCost } from './explain-path.ts';
export { layerInstructions } from './instructions.ts';
export { type FollowedLink, lookUp } from './look-up.ts';
export { renderLedger, renderPath } from './render.ts';
export { buildStack, type Stack } from './stack.ts';
export type * from './types.ts';
export { diffLayers, diffTrees, largest, mergedView, type SeenFile, type TreeChange } from './view.ts';
export {
  type Duplicate,
  type LayerSizes,
  type WasteCause,
  type WasteGroup,
  type WasteItem,
  type WasteLedger,
  wasteLedger,
} from './waste-ledger.ts';
