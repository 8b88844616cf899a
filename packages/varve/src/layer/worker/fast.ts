import { IsalDeflate, IsalInflate, isalAvailable } from '../../linux/index.ts';
import type { FastGzip } from '../compress/codecs.ts';

/** ISA-L when it is installed. */
export const fastGzip: FastGzip | undefined = isalAvailable()
  ? { inflate: () => new IsalInflate(), deflate: () => new IsalDeflate() }
  : undefined;
