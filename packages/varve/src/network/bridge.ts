import { existsSync, writeFileSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { insideNetworkNamespace, Links } from '../linux/index.ts';
import { broadcastOf, macOf, parseSubnet } from './addresses.ts';
import { optionNames } from './catalog.ts';
import type { Endpoint, Network } from './types.ts';

function mtuOf(network: Network): { mtu?: number } {
  const value = Number(network.options[optionNames.mtu]);
  return Number.isInteger(value) && value >= 68 && value <= 65_535 ? { mtu: value } : {};
}

/** Writes a setting of a device (sysctl net.*.conf); one that the kernel lacks is no loss. */
function setDevice(family: 'ipv4' | 'ipv6', device: string, name: string, value: string): void {
  const path = `/proc/sys/net/${family}/conf/${device}/${name}`;
  if (existsSync(path)) writeFileSync(path, value);
}

/**
 * Makes a network's bridge with its address, unless it is there. A bridge that another engine made serves too, with one
 * more address.
 * @param note left on a new bridge: whose it is.
 */
export async function ensureBridge(links: Links, network: Network, note: string): Promise<void> {
  const { bridge = '', gateway = '', subnet = '' } = network;
  let link = links.find(bridge);
  if (!link) {
    // A fixed address: a bridge without one takes its ports', and changes it as they come and go.
    await links.addBridge(bridge, { ...mtuOf(network), mac: macOf(gateway) });
    link = links.find(bridge);
    if (link) links.setAlias(link.index, note);
  }
  if (!link) throw new VarveError('internal', 'NO_BRIDGE', `bridge ${bridge} vanished`);
  const block = parseSubnet(subnet);
  try {
    links.addAddress(link.index, gateway, block.prefixLength, broadcastOf(block));
  } catch (error) {
    if (!(VarveError.is(error) && error.code === 'EEXIST')) throw error;
  }
  if (link.up) return;
  setDevice('ipv6', bridge, 'disable_ipv6', '1');
  // 127.0.0.1:port of the host leads to a container; the rules' raw chain keeps others' loopback packets out.
  setDevice('ipv4', bridge, 'route_localnet', '1');
  links.setUp(link.index);
}

/** Joins a namespace to a network's bridge: a veth pair, its address and, if it is to have one, the default route. */
export async function plug(
  links: Links,
  network: Network,
  endpoint: Endpoint & { readonly device: string; readonly namespacePath: string },
): Promise<void> {
  const bridge = links.find(network.bridge ?? '');
  if (!bridge) throw new VarveError('internal', 'NO_BRIDGE', `bridge ${network.bridge} vanished`);
  await links.addVeth({
    name: endpoint.device,
    master: bridge.index,
    peerName: endpoint.interfaceName,
    peerNamespace: endpoint.namespacePath,
    peerMac: endpoint.macAddress,
    ...mtuOf(network),
  });
  setDevice('ipv6', endpoint.device, 'disable_ipv6', '1');
  const port = links.find(endpoint.device);
  if (!port) throw new VarveError('internal', 'NO_DEVICE', `device ${endpoint.device} vanished`);
  await links.setBridgePort(port.index, {
    hairpin: true,
    isolated: network.options[optionNames.icc] === 'false',
  });
  using inner = insideNetworkNamespace(endpoint.namespacePath, () => new Links());
  const device = inner.find(endpoint.interfaceName);
  if (!device) throw new VarveError('internal', 'NO_DEVICE', `device ${endpoint.interfaceName} vanished`);
  inner.addAddress(
    device.index,
    endpoint.address,
    endpoint.prefixLength,
    broadcastOf(parseSubnet(network.subnet ?? '')),
  );
  inner.setUp(device.index);
  if (!network.internal) addDefaultRoute(inner, device.index, endpoint.gateway);
}

function addDefaultRoute(inner: Links, index: number, gateway: string): void {
  try {
    inner.addDefaultRoute(index, gateway);
  } catch (error) {
    // The first network's stays.
    if (!(VarveError.is(error) && error.code === 'EEXIST')) throw error;
  }
}

/** After a network was taken from a running container: another one takes over the default route. */
export function restoreDefaultRoute(namespacePath: string, endpoint: Endpoint): void {
  using inner = insideNetworkNamespace(namespacePath, () => new Links());
  const device = inner.find(endpoint.interfaceName);
  if (device) addDefaultRoute(inner, device.index, endpoint.gateway);
}
