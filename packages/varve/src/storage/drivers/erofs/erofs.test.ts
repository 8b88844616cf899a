import { testDriver } from '../../testing/index.ts';
import { ErofsDriver } from './erofs.ts';

testDriver({
  name: 'erofs',
  create: (root) => new ErofsDriver(root),
  module: new URL('./erofs.ts', import.meta.url),
  exported: 'ErofsDriver',
  renamesLowerFolders: false,
});
