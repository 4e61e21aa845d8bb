import { VIP_DEVICE } from "@svcproxy/host";

/**
 * How the kernel itself remembers what is ours, so that no file has to be believed after a kill -9:
 * a device by its group, an address by its metric (shown by `ip address`, without effect on a /32 or /128),
 * a local route by its protocol number.
 */
export const VIP_MARK = {
  /** The device that is made for VIPs; see `VIP_DEVICE_KINDS`. */
  device: VIP_DEVICE,
  /** `ip link … group`, set in the same request that makes the device. */
  deviceGroup: "8383",
  /** `ip address … metric`. */
  addressMetric: 8383,
  /** `ip route … proto`; free in /etc/iproute2/rt_protos. */
  routeProtocol: "83",
  /** Metric of our local routes, which also says what to put back. */
  routeMetric: { nonlocalBindUntouched: 8383, nonlocalBindWasOff: 8384 },
} as const;

/** What `svcproxy0` may be: a bridge without ports serves where the kernel has no dummy device. */
export const VIP_DEVICE_KINDS = ["dummy", "bridge"] as const;

/** An IPv6 address that only a `local` route makes local can be bound only with this set. */
export const NONLOCAL_BIND = "net.ipv6.ip_nonlocal_bind";
