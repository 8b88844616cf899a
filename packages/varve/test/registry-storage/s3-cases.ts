import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { type S3Settings } from '../../src/registry/config/index.ts';
import { s3Block } from '../../src/registry/config/storage-backends-block.ts';
import { openS3Storage } from '../../src/registry/storage/s3/index.ts';
import { testStorage } from '../../src/registry/storage/testing/suite.ts';

/** Where a server's S3 API is. */
export interface S3Access {
  readonly url: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Makes a bucket and returns the settings that lead to it. */
export async function newBucket({ url, accessKey, secretKey }: S3Access): Promise<S3Settings> {
  const client = s3Client({ url, accessKey, secretKey });
  const bucket = `bucket-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return s3Block.parse({
    accesskey: accessKey,
    secretkey: secretKey,
    regionendpoint: url,
    bucket,
    rootdirectory: 'some/where',
  });
}

function s3Client({ url, accessKey, secretKey }: S3Access): S3Client {
  return new S3Client({
    endpoint: url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
}

/** The suite over a server's S3 API. */
export function testS3(name: string, access: () => S3Access): void {
  testStorage({
    name,
    open: async () => {
      const settings = await newBucket(access());
      const again = async () => openS3Storage(settings, { pageKeys: 50 });
      return { storage: await again(), again };
    },
  });
}
