import { testDriver } from '../../testing/index.ts';
import { Overlay2Driver } from './overlay2.ts';

testDriver({
  name: 'overlay2',
  create: (root) => new Overlay2Driver(root),
  module: new URL('./overlay2.ts', import.meta.url),
  exported: 'Overlay2Driver',
  renamesLowerFolders: false,
  keepsSizes: true,
});
