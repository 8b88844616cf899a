export {
  type AccessControl,
  type AccessRequest,
  type Action,
  anonymous,
  type Decision,
  type Grant,
  type Identity,
  type IdentityKind,
  openAccess,
  type Proof,
  type Reason,
  type RepositoryAction,
  type Resource,
  subjectOf,
} from './access-control.ts';
export { actionsByRules, type DecisionRules, decide } from './decide.ts';
export { type ExplainedAccess, explainAccess, namedIdentity } from './explain-access.ts';
export { type Auth, type AuthContext, decisionRules, openAuth } from './open-auth.ts';
export { createRobot, hasExpired, type NewRobot, robotPrefix } from './robots.ts';
export type { Policy, Rule } from './rules.ts';
export { type AccessEntry, formatScope, parseScope, parseScopes, scopeFor } from './scopes.ts';
export type { SessionHolder, Sessions } from './sessions.ts';
export type { TokenAnswer, TokenServer } from './token-server.ts';
