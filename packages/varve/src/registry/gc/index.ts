export { type CollectOptions, type CollectReport, collectGarbage } from './collect.ts';
export { type CollectDecision, planCollection } from './plan.ts';
export { RecentlyUsed } from './recently-used.ts';
