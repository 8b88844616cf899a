/** A port of a container made reachable on the host. */
export interface PortBinding {
  readonly protocol: 'tcp' | 'udp';
  readonly containerPort: number;
  /** `0.0.0.0`, `::`, or one address of the host. */
  readonly hostAddress: string;
  /** 0 asks for a free one. */
  readonly hostPort: number;
}

/** A network as created; `none` and `host` exist always and have no addresses. */
export interface Network {
  readonly id: string;
  readonly name: string;
  readonly driver: 'bridge' | 'host' | 'null';
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly enableIPv6: boolean;
  readonly subnet?: string;
  readonly gateway?: string;
  readonly ipRange?: string;
  /** Name of the bridge device. */
  readonly bridge?: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt: string;
}

/** A container's place on one network, while it runs. */
export interface Endpoint {
  readonly id: string;
  readonly networkId: string;
  readonly containerId: string;
  readonly interfaceName: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly macAddress: string;
  readonly names: readonly string[];
  readonly ports: readonly PortBinding[];
}

export interface AttachRequest {
  readonly containerId: string;
  /** Path of the container's network namespace file. */
  readonly namespacePath: string;
  /** `eth0`, `eth1`, … */
  readonly interfaceName: string;
  readonly address?: string;
  readonly macAddress?: string;
  /** Names that other containers of the network resolve: the container's name, its aliases, its short id. */
  readonly names: readonly string[];
  readonly ports: readonly PortBinding[];
  /** Servers that the container's DNS asks for names it does not know; the host's when absent. */
  readonly dns?: readonly string[];
}

/** A bridge network to be made. */
export interface NetworkSpec {
  readonly name: string;
  /** Only `bridge` can be made. */
  readonly driver?: string;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly enableIPv6?: boolean;
  /** `10.1.0.0/16`; chosen from the pools when absent. */
  readonly subnet?: string;
  readonly gateway?: string;
  /** Part of the subnet that addresses are taken from. */
  readonly ipRange?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}
