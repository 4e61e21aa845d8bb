import { playReaches, type Reach } from "./reach.ts";
import type { Scenario } from "./scenario.ts";

const PODS = ["os1_my1", "os1_my2", "os2_my1", "os2_my2"];
const PODS_ON_1 = ["os1_my1", "os1_my2"];
const PODS_ON_2 = ["os2_my1", "os2_my2"];
const HOSTS = ["cloudos1", "cloudos2"];

/** What can be told as rows of who dials what, who answers, and whom they see. */
export const REACHABILITY: readonly Scenario[] = [
  reachability(
    "clusterip-from-pods",
    "A pod reaches each service by its ClusterIP, and is seen under its own address",
    [
      { from: PODS, to: "10.100.100.1:7070", answeredBy: ["os1_my1", "os2_my1"], seen: "client, unless it is itself" },
      { from: PODS, to: "10.100.100.2:6060", answeredBy: ["os1_my2", "os2_my2"], seen: "client, unless it is itself" },
    ],
  ),
  reachability(
    "clusterip-from-hosts",
    "A host reaches each service by its ClusterIP; pods see the address that leads back to it",
    [
      { from: HOSTS, to: "10.100.100.1:7070", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
      { from: HOSTS, to: "10.100.100.2:6060", answeredBy: ["os1_my2", "os2_my2"], seen: "host" },
    ],
  ),
  reachability(
    "nodeport-from-outside",
    "A client outside reaches each service on every host, wherever its endpoints are",
    [
      {
        from: ["client"],
        to: "192.168.1.6:34211",
        servedBy: "cloudos1",
        answeredBy: ["os1_my1", "os2_my1"],
        seen: "host",
      },
      {
        from: ["client"],
        to: "192.168.1.6:34212",
        servedBy: "cloudos1",
        answeredBy: ["os1_my2", "os2_my2"],
        seen: "host",
      },
      {
        from: ["client"],
        to: "192.168.1.7:34211",
        servedBy: "cloudos2",
        answeredBy: ["os1_my1", "os2_my1"],
        seen: "host",
      },
      {
        from: ["client"],
        to: "192.168.1.7:34212",
        servedBy: "cloudos2",
        answeredBy: ["os1_my2", "os2_my2"],
        seen: "host",
      },
      // The service's one endpoint is on cloudos1.
      { from: ["client"], to: "192.168.1.7:34214", servedBy: "cloudos2", answeredBy: ["os1_my1"], seen: "host" },
    ],
  ),
  reachability("nodeport-from-hosts", "A host reaches NodePorts on its own address and on the other host's", [
    { from: HOSTS, to: "192.168.1.6:34211", servedBy: "cloudos1", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
    { from: HOSTS, to: "192.168.1.6:34212", servedBy: "cloudos1", answeredBy: ["os1_my2", "os2_my2"], seen: "host" },
    { from: HOSTS, to: "192.168.1.7:34211", servedBy: "cloudos2", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
    { from: HOSTS, to: "192.168.1.7:34212", servedBy: "cloudos2", answeredBy: ["os1_my2", "os2_my2"], seen: "host" },
  ]),
  reachability("nodeport-from-pods", "A pod reaches NodePorts on its own host", [
    { from: PODS_ON_1, to: "192.168.1.6:34211", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
    { from: PODS_ON_1, to: "192.168.1.6:34212", answeredBy: ["os1_my2", "os2_my2"], seen: "host" },
    { from: PODS_ON_2, to: "192.168.1.7:34211", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
    { from: PODS_ON_2, to: "192.168.1.7:34212", answeredBy: ["os1_my2", "os2_my2"], seen: "host" },
    // On the other host's address a pod's packet comes in by eth0. Over VXLAN the way back leads through flannel.1, so
    // that host drops it (rp_filter=1) before any rule is asked.
    {
      from: PODS_ON_1,
      to: "192.168.1.7:34211",
      servedBy: "cloudos2",
      answeredBy: ["os1_my1", "os2_my1"],
      seen: "host",
      onlyOn: "host-gw",
    },
    {
      from: PODS_ON_2,
      to: "192.168.1.6:34212",
      servedBy: "cloudos1",
      answeredBy: ["os1_my2", "os2_my2"],
      seen: "host",
      onlyOn: "host-gw",
    },
  ]),
  reachability("same-bridge", "A VIP answers where its endpoint is on the client's own bridge", [
    { from: ["os1_my2"], to: "10.100.100.4:80", answeredBy: ["os1_my1"], seen: "client" },
    { from: ["os2_my2"], to: "10.100.100.5:80", answeredBy: ["os2_my1"], seen: "client" },
  ]),
  reachability(
    "hairpin",
    "A pod reaches itself through its VIP, and sees its host's address, or the answer would not pass the host",
    [
      { from: ["os1_my1"], to: "10.100.100.4:80", answeredBy: ["os1_my1"], seen: "host" },
      { from: ["os2_my1"], to: "10.100.100.5:80", answeredBy: ["os2_my1"], seen: "host" },
      { from: ["os1_my1"], to: "192.168.1.6:34214", answeredBy: ["os1_my1"], seen: "host" },
    ],
  ),
  reachability("udp", "Datagrams take the same ways", [
    {
      from: PODS,
      to: "10.100.100.6:53",
      protocol: "udp",
      answeredBy: ["os1_my1", "os2_my1"],
      seen: "client, unless it is itself",
    },
    { from: HOSTS, to: "10.100.100.6:53", protocol: "udp", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
    {
      from: ["client"],
      to: "192.168.1.6:34216",
      protocol: "udp",
      servedBy: "cloudos1",
      answeredBy: ["os1_my1", "os2_my1"],
      seen: "host",
    },
    {
      from: ["client"],
      to: "192.168.1.7:34216",
      protocol: "udp",
      servedBy: "cloudos2",
      answeredBy: ["os1_my1", "os2_my1"],
      seen: "host",
    },
  ]),
  reachability("ipv6", "IPv6 takes the same ways", [
    { from: PODS, to: "[fd00:100::1]:7070", answeredBy: ["os1_my1", "os2_my1"], seen: "client, unless it is itself" },
    { from: HOSTS, to: "[fd00:100::1]:7070", answeredBy: ["os1_my1", "os2_my1"], seen: "host" },
    {
      from: ["client"],
      to: "[fd00:1::6]:34218",
      servedBy: "cloudos1",
      answeredBy: ["os1_my1", "os2_my1"],
      seen: "host",
    },
    {
      from: ["client"],
      to: "[fd00:1::7]:34218",
      servedBy: "cloudos2",
      answeredBy: ["os1_my1", "os2_my1"],
      seen: "host",
    },
  ]),
];

function reachability(name: string, promise: string, rows: readonly Reach[]): Scenario {
  return { name, promise, play: (stage) => playReaches(stage, rows) };
}
