import type { IpAddress } from "@svcproxy/topology";
import type { RouteAnswer } from "../../host/policy-routing.ts";
import type { NftExpression } from "../nft-rule-set.ts";
import type { NftAsked } from "./asked.ts";
import { known, unknownValue, type Value } from "./value.ts";

type Fib = Extract<NftExpression, { readonly kind: "fib" }>;

/** What the routing tables say of one end of the packet. @see linux net/ipv4/netfilter/nft_fib_ipv4.c, nft_fib_ipv6.c */
export function evaluateFib(fib: Fib, asked: NftAsked): Value {
  return fib.result === "type" ? addressType(fib, asked) : outInterface(fib, asked);
}

function deviceOf({ flags }: Fib, { packet }: NftAsked): string | undefined {
  if (flags.includes("iif")) return packet.inInterface;
  return flags.includes("oif") ? packet.outInterface : undefined;
}

function addressType(fib: Fib, asked: NftAsked): Value {
  const { packet, host } = asked;
  const address = fib.flags.includes("daddr") ? packet.destination : packet.source;
  const device = deviceOf(fib, asked);
  if (packet.family === 4) return known(host.router.addressType(address, device).toLowerCase());
  return addressType6(asked, { address, device, mark: fib.flags.includes("mark") ? packet.mark : 0 });
}

function addressType6(
  { host }: NftAsked,
  { address, device, mark }: { address: IpAddress; device: string | undefined; mark: number },
): Value {
  const { router } = host;
  const isOn =
    device !== undefined && router.interfaceOf(device)?.addresses.some((own) => own.address === address) === true;
  const answer = router.lookup({ destination: address, mark, inInterface: "lo" });
  if (answer.kind === "unknown") return unknownValue(answer.because);
  const failure = failureType(answer);
  if (failure !== undefined) return known(failure);
  const type = answer.kind === "found" ? answer.route.type : "unicast";
  if (type === "anycast") return known("anycast");
  if (isOn || (device === undefined && type === "local")) return known("local");
  if (address.startsWith("ff") && address.indexOf(":") === 4) return known("multicast");
  return known(address === "::" ? "unspec" : "unicast");
}

function failureType(answer: RouteAnswer): string | undefined {
  if (answer.kind !== "found") return "unreachable";
  const { type } = answer.route;
  return type === "blackhole" || type === "prohibit" || type === "unreachable" || type === "throw" ? type : undefined;
}

/** The interface behind which an address lives, of the one that is asked for only; empty where there is none. */
function outInterface(fib: Fib, asked: NftAsked): Value {
  const { packet, host, hook } = asked;
  const { flags } = fib;
  const wanted = deviceOf(fib, asked);
  const isLoopback = host.router.interfaceOf(packet.inInterface ?? "")?.isLoopback === true;
  // Since Linux 6.16 INPUT passes over the search as PREROUTING does.
  if (hook === "INPUT" && isLoopback) return unknownValue("kernels differ in what they find for the loopback at INPUT");
  if (hook === "PREROUTING" && isLoopback) return interfaceValue(packet.inInterface);
  const [address, other] = flags.includes("daddr")
    ? [packet.destination, packet.source]
    : [packet.source, packet.destination];
  const answer = host.router.lookup({
    destination: address,
    source: other,
    mark: flags.includes("mark") ? packet.mark : 0,
    ...(packet.tos === undefined ? {} : { tos: packet.tos }),
    inInterface: "lo",
  });
  if (answer.kind === "unknown") return unknownValue(answer.because);
  const found = answer.kind === "found" && answer.route.type === "unicast" ? answer.route.interface : undefined;
  if (found === undefined) return interfaceValue(undefined);
  return interfaceValue(wanted === undefined || wanted === found ? found : undefined);
}

/** `oif exists` is asked of the same value as `oif "eth0"`: none is the empty name. */
function interfaceValue(name: string | undefined): Value {
  return known(name ?? "");
}
