export { imageDiskBytes, imagePaths, removeImage } from './image.ts';
export { imageMount, type Limit, type Limited, Sizes } from './sizes.ts';
