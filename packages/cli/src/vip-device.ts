/** The device that `svcproxy userspace` makes for VIPs, unless it is told another: addresses there are none of the host's own. */
export const VIP_DEVICE = "svcproxy0";
