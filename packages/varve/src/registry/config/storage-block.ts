import { z } from 'zod';
import { backendKeys, storageBackends } from './storage-backends-block.ts';
import { byteSize, duration } from './values.ts';

/** The block `storage`. */
export const storageBlock = z
  .strictObject({
    filesystem: z
      .strictObject({
        rootdirectory: z
          .string()
          .min(1)
          .default('/var/lib/varve/registry')
          .describe('Folder of the records, and of blobs and uploads where no other storage is set.'),
      })
      .prefault({}),
    ...storageBackends,
    delete: z
      .strictObject({
        enabled: z.boolean().default(false).describe('Allow DELETE of tags, manifests and blobs.'),
      })
      .prefault({}),
    maintenance: z
      .strictObject({
        uploadpurging: z
          .strictObject({
            enabled: z.boolean().default(true).describe('Drop abandoned uploads.'),
            age: duration('168h', 'An upload untouched for so long is abandoned.'),
            interval: duration('24h', 'Time between two looks.'),
          })
          .prefault({}),
        collect: z
          .strictObject({
            enabled: z.boolean().default(true).describe('Remove blobs that no manifest needs.'),
            interval: duration('24h', 'Time between two collections.'),
            grace: duration('24h', 'What is younger, or was asked for since, stays.'),
            untagged: z.boolean().default(false).describe('Remove manifests that nothing leads to, too.'),
            fullinterval: duration('168h', 'Time between two that look at everything stored.'),
          })
          .prefault({}),
        scrub: z
          .strictObject({
            enabled: z.boolean().default(false).describe('Hash what is stored, and hide what is damaged.'),
            interval: duration('168h', 'Time between two.'),
            rate: byteSize.default('50MiB').describe('Bytes a second that it reads at most.'),
          })
          .prefault({}),
        readonly: z
          .strictObject({ enabled: z.boolean().default(false).describe('Answer 405 to every write.') })
          .prefault({}),
      })
      .prefault({}),
  })
  .check(({ value, issues }) => {
    const [, second] = backendKeys.filter((key) => value[key] !== undefined);
    if (second === undefined) return;
    issues.push({
      code: 'custom',
      input: value,
      path: [second],
      message: 'there is another storage already: one is possible',
    });
  })
  .prefault({});
