import { isLoopback } from "../../host/interface-kind.ts";
import type { NftAsked } from "./asked.ts";
import { protocolValue } from "./evaluate-payload.ts";
import { known, unknownValue, type Value } from "./value.ts";

/** What the kernel keeps beside a packet; undefined where there is no such thing, which ends the rule. */
export function evaluateMeta(key: string, asked: NftAsked): Value | undefined {
  const { packet, host, hook } = asked;
  switch (key) {
    case "l4proto":
      return protocolValue(packet);
    case "nfproto":
      return known(packet.family === 4 ? "ipv4" : "ipv6");
    case "protocol":
      return known(packet.family === 4 ? 0x0800 : 0x86dd);
    case "mark":
      return known(packet.mark);
    case "priority":
      return packet.priority === undefined
        ? unknownValue("the packet's priority is not known")
        : known(packet.priority);
    // A packet that came by no interface has the empty name, and an interface's number of 0.
    case "iif":
    case "iifname":
      return known(packet.inInterface ?? "");
    case "oif":
    case "oifname":
      return known(packet.outInterface ?? "");
    case "iiftype":
    case "oiftype": {
      // There the kernel may ask for the device of the packet, which is by then the one that it leaves by: 6.18 does.
      if (key === "iiftype" && hook === "POSTROUTING")
        return unknownValue("of which link the kernel takes the kind for `meta iiftype` in postrouting is not known");
      const device = key === "iiftype" ? packet.inInterface : packet.outInterface;
      if (device === undefined) return undefined;
      return isLoopback(host, device)
        ? known(LOOPBACK_TYPE)
        : unknownValue(`the kind of link of ${device} is not known`);
    }
    case "length":
      return packet.length === undefined ? unknownValue("the packet's length is not known") : known(packet.length);
    case "skuid":
    case "skgid":
    case "cgroup":
      if (packet.isLocal) return unknownValue("which user sends it is not known");
      // A socket is looked for early for what belongs to a connection of this host.
      if (hook === "INPUT" && packet.connection?.state !== "NEW")
        return unknownValue("which user gets it is not known");
      return undefined;
    default:
      return unknownValue(`meta ${key} is not known`);
  }
}

/** ARPHRD_LOOPBACK */
const LOOPBACK_TYPE = 772;
