export { type ChooseOptions, chooseDriver, type StorageDriverKind } from './choose-driver.ts';
export { AufsDriver } from './drivers/aufs/aufs.ts';
export { ErofsDriver } from './drivers/erofs/erofs.ts';
export { BtrfsDriver } from './drivers/btrfs/btrfs.ts';
export { DeviceMapperDriver } from './drivers/devicemapper/devicemapper.ts';
export { OverlayDriver } from './drivers/overlay/overlay.ts';
export { Overlay2Driver } from './drivers/overlay2/overlay2.ts';
export { VfsDriver } from './drivers/vfs/vfs.ts';
export {
  parseBooleanOption,
  parseStorageOptions,
  readStorageOptions,
  type StorageOption,
} from './options.ts';
export { showsSnapshot } from './tree/mount-point.ts';
export type * from './types.ts';
export {
  copyInBackground,
  deleteInBackground,
  measureInBackground,
  surveyInBackground,
} from './worker/jobs.ts';
export type { Extent, Survey, SurveyPlan } from './worker/survey-tree.ts';
