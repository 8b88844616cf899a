import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { VarveError } from '../base/index.ts';
import { type Question, questionBytes } from './dns-message.ts';

const TIMEOUT_MS = 4000;
const ROUNDS = 2;
const LARGEST_MESSAGE = 65_535;

function belongs(reply: Buffer, id: number, asked: Buffer): boolean {
  return (
    reply.length >= 12 + asked.length &&
    reply.readUInt16BE(0) === id &&
    (reply.readUInt16BE(2) & 0x8000) !== 0 &&
    reply
      .subarray(12, 12 + asked.length)
      .toString('latin1')
      .toLowerCase() === asked.toString('latin1').toLowerCase()
  );
}

/** One try over UDP. The socket is connected and its port is random, so that a forged reply must guess both and the id. */
function askUdp(server: string, message: Buffer, asked: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4');
    const end = (result: Buffer | Error): void => {
      clearTimeout(timer);
      socket.close();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    const timer = setTimeout(() => end(new Error(`no answer from ${server}`)), TIMEOUT_MS);
    socket.on('error', end);
    socket.on('message', (reply) => {
      if (belongs(reply, message.readUInt16BE(0), asked)) end(reply);
    });
    socket.connect(53, server, () => socket.send(message));
  });
}

function askTcp(server: string, message: Buffer, asked: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server, port: 53, timeout: TIMEOUT_MS });
    let bytes = Buffer.alloc(0);
    const end = (result: Buffer | Error): void => {
      socket.destroy();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    socket.on('timeout', () => end(new Error(`no answer from ${server}`)));
    socket.on('error', end);
    socket.on('close', () => reject(new Error(`${server} hung up`)));
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 2) return;
      const length = bytes.readUInt16BE(0);
      if (bytes.length < 2 + length) return;
      const reply = bytes.subarray(2, 2 + length);
      end(belongs(reply, message.readUInt16BE(0), asked) ? reply : new Error(`bad answer from ${server}`));
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
  });
}

/**
 * Asks the servers in turn and returns the first reply, with the query's own id.
 * @throws VarveError `unavailable` when none answered.
 */
export async function askUpstream(
  servers: readonly string[],
  query: Buffer,
  question: Question,
  transport: 'udp' | 'tcp',
): Promise<Buffer> {
  const message = Buffer.from(query.subarray(0, LARGEST_MESSAGE));
  const asked = questionBytes(query, question);
  for (let round = 0; round < ROUNDS; round++) {
    for (const server of servers) {
      message.writeUInt16BE(randomInt(65_536), 0);
      try {
        const reply = Buffer.from(await (transport === 'udp' ? askUdp : askTcp)(server, message, asked));
        reply.writeUInt16BE(question.id, 0);
        return reply;
      } catch {
        // The next server, or the next round.
      }
    }
  }
  throw new VarveError('unavailable', 'NO_DNS_ANSWER', `no DNS server answered for "${question.name}"`);
}
