import { testDriver } from '../../testing/index.ts';
import { VfsDriver } from './vfs.ts';

testDriver({
  name: 'vfs',
  create: (root) => new VfsDriver(root),
  module: new URL('./vfs.ts', import.meta.url),
  exported: 'VfsDriver',
  renamesLowerFolders: true,
  keepsSizes: true,
});
