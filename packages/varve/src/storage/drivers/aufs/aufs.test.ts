import { mkdtempSync, rmSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { after } from 'node:test';
import { testDriver } from '../../testing/index.ts';
import { AufsDriver } from './aufs.ts';

// Hundreds of servers are started; each compiles what the first one did.
const cache = mkdtempSync('/var/tmp/varve-aufs-cache-');
enableCompileCache(join(cache, 'code'));
after(() => rmSync(cache, { recursive: true }));

testDriver({
  name: 'aufs',
  create: (root) => new AufsDriver(root),
  module: new URL('./aufs.ts', import.meta.url),
  exported: 'AufsDriver',
  renamesLowerFolders: false,
  keepsSizes: true,
  handsOnSyncfs: false,
});
