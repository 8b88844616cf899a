export { Pages } from './pages.ts';
export { SessionCookies } from './session-cookies.ts';
export { sessionKey } from './session-key.ts';
export type { PageAnswer, PageRequest, PageSources, Viewer } from './types.ts';
