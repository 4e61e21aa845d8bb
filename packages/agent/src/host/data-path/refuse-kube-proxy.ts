import { describeKubeProxy, type FoundKubeProxy } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";

/** Two of them would answer for the same VIPs, and whichever is asked first would win. @throws EnvironmentError KUBE_PROXY_FOUND */
export function refuseKubeProxy(found: FoundKubeProxy): never {
  const deed = found.isRunning ? "kube-proxy serves this host" : "the rules of a kube-proxy serve this host";
  throw new EnvironmentError("KUBE_PROXY_FOUND", `Cannot start: ${deed} (${describeKubeProxy(found)})`, {
    hint: `To take its place: --replace kube-proxy. Else ${found.isRunning ? "stop it" : "keep it stopped"}, and take its rules away: kube-proxy --cleanup`,
  });
}
