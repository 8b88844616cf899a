import { runInGuest } from './run-in-guest.ts';

runInGuest(new URL('../../src/storage/quota/project-quota.guest.ts', import.meta.url), {
  modules: ['loop', 'overlay', 'quota_v2'],
});
