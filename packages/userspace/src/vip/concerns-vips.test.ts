import { expect, test } from "vitest";
import { concernsVips } from "./concerns-vips.ts";

test.for([
  ["an address that went", "Deleted 4: svcproxy0    inet 10.100.0.1/32 metric 8383 scope global svcproxy0"],
  [
    "the device that went",
    "Deleted 4: svcproxy0: <BROADCAST,MULTICAST,NOARP> mtu 1500 qdisc noop state DOWN group 8383 ",
  ],
  [
    "the device that is down",
    "4: svcproxy0: <BROADCAST,MULTICAST,NOARP> mtu 1500 qdisc noqueue state DOWN group 8383 ",
  ],
  ["a local route that went", "Deleted local 10.96.0.0/16 dev lo table local proto 83 scope host metric 8383 "],
  ["an isolating route that went", "Deleted unreachable 10.100.0.1 table 830000000 proto 83 "],
  ["an isolating rule that went", "Deleted 87:\tfrom all ipproto tcp dport 80 lookup 830600080 proto 83"],
  ["the host's own rule that went", "Deleted 100:\tfrom all lookup local"],
  ["a rule before all others", "0:\tfrom all lookup local"],
])("%s may have taken a VIP away: %s", ([, line]) => {
  expect(concernsVips(line ?? "")).toBe(true);
});

test.for([
  ["an address that came", "5: svcproxy0    inet 10.100.0.1/32 metric 8383 scope global svcproxy0"],
  [
    "the device that is up",
    "5: svcproxy0: <BROADCAST,MULTICAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN group 8383 ",
  ],
  ["another's address", "Deleted 2: eth0    inet 10.5.0.1/24 scope global eth0"],
  ["another's route", "Deleted 10.5.88.0/24 via 192.168.1.7 dev eth0 proto bird metric 32"],
  ["another's rule that came", "1000:\tfrom 10.5.0.0/24 lookup 100"],
  ["the second line of an address", "       valid_lft forever preferred_lft forever"],
])("%s has not: %s", ([, line]) => {
  expect(concernsVips(line ?? "")).toBe(false);
});
