import { writeFileSync } from "node:fs";
import process from "node:process";
import { createNetworkNamespace } from "@svcproxy/lab";
import { recordedCase, recordedCases, recordedConfigurationText } from "@svcproxy/nftables/testing";
import { runKubeProxy } from "./run-kube-proxy.ts";

/**
 * Writes anew what the real kube-proxy that KUBE_PROXY names makes of the objects of each recorded case, or of those that arguments
 * name. As root, in namespaces.
 */
const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : recordedCases()) {
  const { objects, saved, listing } = recordedCase(name);
  for (const mode of ["iptables", "nftables"] as const) {
    await using namespace = await createNetworkNamespace();
    const rules = await runKubeProxy(namespace, { objects, configuration: recordedConfigurationText(name, mode) });
    if (mode === "iptables") writeFileSync(saved, rules.saved);
    else writeFileSync(listing, rules.listing);
  }
  process.stdout.write(`${name}\n`);
}
