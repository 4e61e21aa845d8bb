import { familyOf, formatCidr, formatSocketAddress } from "../address.ts";
import { swallowedPort } from "../explain-address.ts";
import type { FaultCode } from "../fault-code.ts";
import type { Service } from "../model.ts";
import type { SubjectPath } from "../subject-path.ts";
import type { ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";
import type { HostDirectory } from "./build-hosts.ts";
import type { FoundService } from "./build-services.ts";

/** Reports what services may not share, and VIPs that are something else already. */
export function checkServices(
  services: readonly FoundService[],
  { reader, directory }: { reader: ValueReader; directory: HostDirectory },
): void {
  const uses = new UniqueUses(reader);
  for (const found of services) {
    checkUniqueness(found, uses);
    for (const vip of found.vips) {
      checkVip(vip, { reader, directory });
      warnOfSwallowedPort(vip, { service: found.service, reader });
    }
    if (found.service.clusterIPs.length === 0 && found.vips.length > 0) {
      const reason = "a headless service has no rules, so its other addresses are not served";
      reader.warning("NO_EFFECT", found.where.at("clusterIP"), reason);
    }
  }
}

/** Remembers who uses what first, and reports whoever comes second. */
class UniqueUses {
  readonly #reader: ValueReader;
  readonly #first = new Map<string, SubjectPath>();

  constructor(reader: ValueReader) {
    this.#reader = reader;
  }

  /** @param what asked for where there is a fault */
  claim(code: FaultCode, where: SubjectPath, { key, what }: { key: string; what: () => string }): void {
    const first = this.#first.get(key);
    if (first === undefined) {
      this.#first.set(key, where);
      return;
    }
    const [mine, theirs] = [where.subject, first.subject];
    const reason = mine === theirs ? `${what()} stands twice` : `${what()} is used by ${theirs} already`;
    this.#reader.duplicate(code, where, { first, reason });
  }

  /** @param nodePort `30080/tcp` */
  claimNodePort(where: SubjectPath, nodePort: string): void {
    this.claim("DUPLICATE_NODE_PORT", where, { key: `node ${nodePort}`, what: () => `the NodePort ${nodePort}` });
  }
}

function checkUniqueness({ service, where, vips, portIndexes }: FoundService, uses: UniqueUses): void {
  const { name, namespace, id } = service;
  if (name !== "") {
    // The length says where the namespace ends, whatever is in it.
    const key = `name ${namespace.length} ${namespace} ${name}`;
    const what = () => `the name ${quote(name)} in namespace ${quote(namespace)}`;
    uses.claim("DUPLICATE_NAME", where.at("name"), { key, what });
  }
  if (id !== undefined) {
    uses.claim("DUPLICATE_ID", where.at("id"), { key: `id ${id}`, what: () => `the id ${quote(id)}` });
  }
  for (const [index, port] of service.ports.entries()) {
    const place = where.at("ports").at(portIndexes[index] ?? index);
    if (port.name !== "") {
      const key = `port ${where.path.join(" ")} ${port.name}`;
      uses.claim("DUPLICATE_NAME", place.at("name"), { key, what: () => `the port name ${quote(port.name)}` });
    }
    for (const { value: address } of vips) {
      const frontend = `${formatSocketAddress({ address, port: port.port })}/${port.protocol}`;
      uses.claim("DUPLICATE_FRONTEND", place.at("port"), { key: `vip ${frontend}`, what: () => frontend });
    }
    if (port.nodePort !== undefined) {
      uses.claimNodePort(place.at("nodePort"), `${port.nodePort}/${port.protocol}`);
    }
  }
  const { healthCheckNodePort } = service;
  if (healthCheckNodePort !== undefined) {
    uses.claimNodePort(where.at("healthCheckNodePort"), `${healthCheckNodePort}/tcp`);
  }
}

/** A VIP that ends like a port of its service: what would be refused at once as IPv4. */
function warnOfSwallowedPort(
  { value: address, where }: FoundService["vips"][number],
  { service, reader }: { service: Service; reader: ValueReader },
): void {
  const meant = swallowedPort(address);
  if (meant === undefined || !service.ports.some(({ port }) => port === meant.port)) return;
  const reason = `the VIP ${address} is read as an address alone, although it ends in :${meant.port} like the service's port`;
  reader.warning(
    "PORT_IN_ADDRESS",
    where,
    reason,
    `If ${meant.address} is meant, write that; the port has a key of its own`,
  );
}

function checkVip(
  { value: address, kind, where }: FoundService["vips"][number],
  { reader, directory }: { reader: ValueReader; directory: HostDirectory },
): void {
  if (!reader.judge(address, "VIP", where)) return;
  const host = directory.hostsByAddress.get(address);
  if (host !== undefined) {
    const reason = `the VIP ${address} is the address of host ${quote(host.name)}`;
    // People do publish services on a host's own address; a ClusterIP there would cut the host off from that port for good.
    if (kind === "clusterIP")
      reader.error("VIP_IS_HOST_ADDRESS", where, reason, "Take an address that nothing else has");
    else reader.warning("VIP_IS_HOST_ADDRESS", where, `${reason}; whatever else listens there is hidden`);
    return;
  }
  const placed = directory.podsByAddress.get(address);
  if (placed !== undefined) {
    const reason = `the VIP ${address} is the address of pod ${quote(placed.pod.name)}`;
    reader.error("VIP_IS_POD_ADDRESS", where, reason, "Take an address that nothing else has");
    return;
  }
  const block = directory.podCIDRs.find(address);
  if (block !== undefined) {
    const reason = `the VIP ${address} lies in the podCIDR ${formatCidr(block.cidr)} of host ${quote(block.owner.name)}`;
    reader.error("VIP_IN_POD_CIDR", where, reason, `Take an IPv${familyOf(address)} address outside of all podCIDRs`);
  }
}
