/**
 * The part of Alibaba Cloud OSS that the registry uses, with signatures of version 4 checked on every request:
 * https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4.
 * `oss.test.ts` proves it with Alibaba's own client.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import {
  EmulatedBucket,
  type EmulatedObject,
  type EmulatedRequest,
  type Emulator,
  md5,
  Refusal,
  sendObject,
  startEmulator,
} from './objects.ts';

export const ossAccount = {
  accessKeyId: 'access',
  accessKeySecret: 'secret',
  region: 'oss-test-1',
  bucket: 'bucket',
} as const;

const minPartBytes = 100 * 1024;

interface Upload {
  readonly key: string;
  readonly initiated: Date;
  readonly parts: Map<number, Buffer>;
}

class State extends EmulatedBucket {
  readonly uploads = new Map<string, Upload>();
}

export async function startOss(): Promise<Emulator> {
  const state = new State();
  return await startEmulator(
    (request, response) => {
      requireSignature(request);
      handle(state, request, response);
    },
    ({ status, code, message }, response) => {
      xml(response, `<Error><Code>${code}</Code><Message>${message}</Message></Error>`, status);
    },
  );
}

function handle(state: State, request: EmulatedRequest, response: ServerResponse): void {
  const { method, url, headers, body } = request;
  const key = decodeURIComponent(url.pathname.slice(1));
  const query = url.searchParams;
  const upload = query.get('uploadId');
  if (key === '') {
    if (method === 'POST' && query.has('delete')) return removeMany(state, request, response);
    if (method === 'GET' && query.has('uploads')) return listUploads(state, query, response);
    if (method === 'GET' && query.get('list-type') === '2') return list(state, query, response);
  } else if (upload !== null) {
    const found = state.uploads.get(upload);
    if (found?.key !== key) throw new Refusal(404, 'NoSuchUpload');
    if (method === 'DELETE') {
      state.uploads.delete(upload);
      response.writeHead(204).end();
      return;
    }
    if (method === 'POST') return complete(state, upload, found, request, response);
    if (method === 'PUT') {
      const bytes = headers['x-oss-copy-source'] === undefined ? body : copied(state, request);
      found.parts.set(Number(query.get('partNumber')), bytes);
      const tag = etag(bytes);
      response.setHeader('ETag', tag);
      if (bytes === body) response.writeHead(200).end();
      else xml(response, `<CopyPartResult><ETag>${tag}</ETag></CopyPartResult>`);
      return;
    }
  } else if (method === 'POST' && query.has('uploads')) {
    const id = randomUUID();
    state.uploads.set(id, { key, initiated: new Date(), parts: new Map() });
    return xml(
      response,
      `<InitiateMultipartUploadResult><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  } else if (method === 'PUT') {
    const isCopy = headers['x-oss-copy-source'] !== undefined;
    const object = state.put(key, isCopy ? copied(state, request) : body, headers['content-type']);
    if (isCopy)
      return xml(response, `<CopyObjectResult><ETag>${etag(object.bytes)}</ETag></CopyObjectResult>`);
    response.writeHead(200, { ETag: etag(object.bytes) }).end();
    return;
  } else if (method === 'GET' || method === 'HEAD') {
    const object = find(state, key);
    return sendObject(object, request, response, { ETag: etag(object.bytes) });
  }
  throw new Refusal(405, 'MethodNotAllowed', `${method} ${url.pathname}${url.search}`);
}

function find(state: State, key: string): EmulatedObject {
  const object = state.objects.get(key);
  if (!object) throw new Refusal(404, 'NoSuchKey');
  return object;
}

/** What `x-oss-copy-source` names, or the range of it. */
function copied(state: State, { headers }: EmulatedRequest): Buffer {
  const source = decodeURIComponent(String(headers['x-oss-copy-source']));
  const { bytes } = find(state, source.replace(`/${ossAccount.bucket}/`, ''));
  const wanted = headers['x-oss-copy-source-if-match'];
  if (wanted !== undefined && wanted !== etag(bytes)) throw new Refusal(412, 'PreconditionFailed');
  const range = /^bytes=(\d+)-(\d+)$/.exec(String(headers['x-oss-copy-source-range'] ?? ''));
  if (range && Number(range[2]) >= bytes.length) throw new Refusal(416, 'InvalidRange');
  return range ? bytes.subarray(Number(range[1]), Number(range[2]) + 1) : Buffer.from(bytes);
}

function complete(
  state: State,
  id: string,
  { key, parts }: Upload,
  { body }: EmulatedRequest,
  response: ServerResponse,
): void {
  const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>\s*<ETag>([^<]+)<\/ETag>/g)];
  const chosen = named.map(([, number, tag]) => {
    const bytes = parts.get(Number(number));
    if (!bytes || etag(bytes) !== tag?.replaceAll('&quot;', '"')) throw new Refusal(400, 'InvalidPart');
    return bytes;
  });
  if (chosen.slice(0, -1).some(({ length }) => length < minPartBytes))
    throw new Refusal(400, 'EntityTooSmall');
  state.uploads.delete(id);
  const object = state.put(key, Buffer.concat(chosen));
  xml(
    response,
    `<CompleteMultipartUploadResult><ETag>${etag(object.bytes)}</ETag></CompleteMultipartUploadResult>`,
  );
}

function removeMany(state: State, { headers, body }: EmulatedRequest, response: ServerResponse): void {
  if (headers['content-md5'] !== md5(body).toString('base64')) throw new Refusal(400, 'InvalidDigest');
  const keys = [...body.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => String(key));
  if (keys.length > 1000) throw new Refusal(400, 'MalformedXML');
  for (const key of keys) state.objects.delete(key);
  xml(response, '<DeleteResult></DeleteResult>');
}

function list(state: State, query: URLSearchParams, response: ServerResponse): void {
  const token = Buffer.from(query.get('continuation-token') ?? '', 'base64url').toString();
  const { keys, more } = state.page(query.get('prefix') ?? '', token, Number(query.get('max-keys') ?? 100));
  const contents = keys.map((key) => {
    const { bytes, modifiedAt } = find(state, key);
    return `<Contents><Key>${key}</Key><LastModified>${modifiedAt.toISOString()}</LastModified><ETag>${etag(bytes)}</ETag><Size>${bytes.length}</Size></Contents>`;
  });
  const next = Buffer.from(keys.at(-1) ?? '').toString('base64url');
  xml(
    response,
    `<ListBucketResult><IsTruncated>${more}</IsTruncated>${more ? `<NextContinuationToken>${next}</NextContinuationToken>` : ''}${contents.join('')}</ListBucketResult>`,
  );
}

function listUploads(state: State, query: URLSearchParams, response: ServerResponse): void {
  const found = [...state.uploads].filter(([, { key }]) => key.startsWith(query.get('prefix') ?? ''));
  const uploads = found.map(
    ([id, { key, initiated }]) =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${initiated.toISOString()}</Initiated></Upload>`,
  );
  xml(
    response,
    `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${uploads.join('')}</ListMultipartUploadsResult>`,
  );
}

function xml(response: ServerResponse, body: string, status = 200): void {
  response
    .writeHead(status, { 'Content-Type': 'application/xml' })
    .end(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`);
}

function etag(bytes: Uint8Array): string {
  return `"${md5(bytes).toString('hex').toUpperCase()}"`;
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The signature in the header, or in the query of an address. */
function requireSignature({ method, url, headers }: EmulatedRequest): void {
  const query = url.searchParams;
  const inQuery = query.get('x-oss-signature');
  const header = /^OSS4-HMAC-SHA256 Credential=([^,]+),Signature=([0-9a-f]+)$/.exec(
    headers.authorization ?? '',
  );
  const [accessKey, day = '', region = '', product = '', kind = ''] = (
    query.get('x-oss-credential') ??
    header?.[1] ??
    ''
  ).split('/');
  const date = query.get('x-oss-date') ?? String(headers['x-oss-date']);
  const given = inQuery ?? header?.[2];
  const canonicalQuery = [...query]
    .filter(([name]) => name !== 'x-oss-signature')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => (value === '' ? encode(name) : `${encode(name)}=${encode(value)}`))
    .join('&');
  const signed = Object.entries(headers)
    .filter(([name]) => name === 'content-type' || name === 'content-md5' || name.startsWith('x-oss-'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}:${String(value).trim()}\n`)
    .join('');
  const path = encode(`/${ossAccount.bucket}${decodeURIComponent(url.pathname)}`).replaceAll('%2F', '/');
  const canonical = [method, path, canonicalQuery, signed, '', 'UNSIGNED-PAYLOAD'].join('\n');
  const text = [
    'OSS4-HMAC-SHA256',
    date,
    `${day}/${region}/${product}/${kind}`,
    createHash('sha256').update(canonical).digest('hex'),
  ].join('\n');
  let key: string | Buffer = `aliyun_v4${ossAccount.accessKeySecret}`;
  for (const part of [day, region, product, kind]) key = createHmac('sha256', key).update(part).digest();
  const right = createHmac('sha256', key).update(text).digest('hex');
  if (accessKey !== ossAccount.accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId');
  if (`oss-${region}` !== ossAccount.region || product !== 'oss' || given !== right) {
    throw new Refusal(403, 'SignatureDoesNotMatch', canonical.replaceAll('\n', '|').replaceAll('&', '&amp;'));
  }
  const signedAt = Date.parse(
    date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  );
  const seconds = inQuery === null ? 900 : Number(query.get('x-oss-expires'));
  if (!(signedAt + seconds * 1000 > Date.now())) throw new Refusal(403, 'AccessDenied', 'expired');
}
