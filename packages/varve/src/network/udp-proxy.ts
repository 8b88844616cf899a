import { createSocket, type Socket } from 'node:dgram';

// As docker-proxy: a client that is silent this long is forgotten.
const IDLE_MS = 90_000;
const MOST_CLIENTS = 1024;

interface Client {
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
}

/**
 * Carries datagrams between the clients of `front` and one container, a socket for each client, so that answers find
 * their way back. Serves what the packet filter cannot: IPv6 clients of an IPv4 container.
 * @returns ends it; `front` stays open.
 */
export function proxyDatagrams(front: Socket, address: string, port: number): () => void {
  const clients = new Map<string, Client>();
  const forget = (key: string): void => {
    const client = clients.get(key);
    if (!client) return;
    clients.delete(key);
    clearTimeout(client.timer);
    client.socket.close();
  };
  front.on('error', () => undefined);
  front.on('message', (message, from) => {
    const key = `${from.address} ${from.port}`;
    let client = clients.get(key);
    if (!client) {
      if (clients.size >= MOST_CLIENTS) return;
      const socket = createSocket('udp4');
      const timer = setTimeout(() => forget(key), IDLE_MS);
      timer.unref();
      client = { socket, timer };
      clients.set(key, client);
      socket.unref();
      socket.on('error', () => forget(key));
      socket.on('message', (answer) => {
        timer.refresh();
        front.send(answer, from.port, from.address);
      });
    }
    client.timer.refresh();
    client.socket.send(message, port, address);
  });
  return () => {
    for (const key of clients.keys()) forget(key);
  };
}
