/** Streams of Docker's multiplexed format: 3 carries an error of the engine and ends the stream (moby pkg/stdcopy). */
export type FrameStream = 0 | 1 | 2 | 3;

/** Packs one write: [stream, 0, 0, 0, length as uint32 big-endian], then the bytes. */
export function frame(stream: FrameStream, data: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(8 + data.length);
  framed.writeUInt32BE(stream * 0x1000000, 0);
  framed.writeUInt32BE(data.length, 4);
  data.copy(framed, 8);
  return framed;
}

/** Media type of a container's output. */
export function outputMediaType(tty: boolean, multiplexedKnown: boolean): string {
  return !tty && multiplexedKnown
    ? 'application/vnd.docker.multiplexed-stream'
    : 'application/vnd.docker.raw-stream';
}
