import { runInGuest } from './run-in-guest.ts';

runInGuest(new URL('../../src/storage/drivers/devicemapper/devicemapper.guest.ts', import.meta.url), {
  modules: ['loop', 'dm-thin-pool'],
});
