import { runInGuest } from './run-in-guest.ts';

runInGuest(new URL('./devicemapper-images.guest.ts', import.meta.url), {
  modules: ['loop', 'dm-thin-pool', 'overlay'],
});
