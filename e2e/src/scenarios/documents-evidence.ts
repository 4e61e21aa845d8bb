import { type CapturedPacket, readPackets } from "../stage/capture.ts";
import type { Stage } from "../stage/stage.ts";
import type { Scenario } from "./scenario.ts";

const VIP = "10.100.100.5:80"; // its endpoint is on the other host
const ENDPOINT = "10.5.88.2:3000";
/** Long enough for the repetitions of a SYN after 1 s and after 3 s. */
const PATIENCE_MS = 3500;

/**
 * What the document shows by `tcpdump -ni flannel.1`: why its last rule,
 * `iptables -t nat -I POSTROUTING 1 -s 192.168.1.6 -j MASQUERADE`, is there.
 */
export const DOCUMENTS_EVIDENCE: Scenario = {
  name: "documents-evidence",
  promise:
    "Only by what the document's last rule is for does a host reach a pod on the other host: with it, packets leave as 10.5.75.0",
  notApplicable({ dataPath, overlay }) {
    if (dataPath.stopHostMasquerade === undefined) return "no rule of its own does what the document's last rule does";
    return overlay === "vxlan" ? undefined : "there is no flannel.1";
  },
  async play(stage) {
    const { stopHostMasquerade } = stage.dataPath;
    if (stopHostMasquerade === undefined) throw new TypeError("not applicable");
    await stage.run("cloudos1", stopHostMasquerade);
    try {
      checkWithoutRule(await captureDial(stage));
    } finally {
      await stage.dataPath.change(stage.lab, "cloudos1"); // the topology is as it was
    }
    checkWithRule(await captureDial(stage));
  },
};

interface Dial {
  readonly outcome: string;
  readonly packets: readonly CapturedPacket[];
  readonly capture: string;
}

async function captureDial(stage: Stage): Promise<Dial> {
  let outcome = "";
  const request = { place: "cloudos1", interface: "flannel.1", filter: ["tcp", "and", "port", "3000"] };
  const capture = await stage.capture(request, async () => {
    const [answer] = await stage.ask("cloudos1", VIP, { timeoutMs: PATIENCE_MS });
    outcome = answer?.kind ?? "";
  });
  return { outcome, capture, packets: readPackets(capture) };
}

function checkWithoutRule({ outcome, packets, capture }: Dial): void {
  const syns = packets.filter(({ flags, to }) => flags === "S" && to === ENDPOINT);
  const isAsShown =
    outcome === "timeout" &&
    syns.length >= 2 &&
    syns.every(({ from, sequence }) => from.startsWith("192.168.1.6:") && sequence === syns[0]?.sequence) &&
    packets.every(({ from }) => from !== ENDPOINT);
  if (!isAsShown) {
    throw new Error(
      `Without the last rule, SYNs should leave as 192.168.1.6, be repeated and never be answered; the dial's outcome was "${outcome}", the capture\n${capture}`,
    );
  }
}

function checkWithRule({ outcome, packets, capture }: Dial): void {
  const isAsShown =
    outcome === "answered" &&
    packets.some(({ flags, from, to }) => flags === "S" && from.startsWith("10.5.75.0:") && to === ENDPOINT) &&
    packets.some(({ flags, from, to }) => flags === "S." && from === ENDPOINT && to.startsWith("10.5.75.0:")) &&
    packets.every(({ from, to }) => !from.startsWith("192.168.1.6:") && !to.startsWith("192.168.1.6:"));
  if (!isAsShown) {
    throw new Error(
      `With the last rule, SYNs should leave as 10.5.75.0 and be answered; the dial's outcome was "${outcome}", the capture\n${capture}`,
    );
  }
}
