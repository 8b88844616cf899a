export { Pulls } from './pulls.ts';
export { type RepositoryDecisions, type RetainOptions, retainTags } from './retain.ts';
export {
  decideTags,
  type ImmutableRule,
  immutableTags,
  type RetentionRule,
  type TagDecision,
} from './rules.ts';
