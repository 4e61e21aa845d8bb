import type { RuleSourceFlags } from "../flags/rule-source-flags.ts";

/** The words of a `svcproxy trace` that looks at the rules and host that these flags name, without the packet. */
export function traceCommandOf(
  files: readonly string[],
  flags: RuleSourceFlags,
  hostName: string | undefined,
): readonly string[] {
  const option = (name: string, value: string | undefined) => (value === undefined ? [] : [name, value]);
  return [
    ...["svcproxy", "trace", ...files],
    ...option("--config", flags.config),
    ...(flags.allowExternalIps ?? []).flatMap((block) => ["--allow-external-ips", block]),
    ...option("--etcd-config", flags.etcdConfig),
    ...option("--flannel-prefix", flags.flannelPrefix),
    ...option("--kubeconfig", flags.kubeconfig),
    ...option("--context", flags.context),
    ...option("--host", hostName),
    ...option("--dialect", flags.dialect),
    ...option("--dispatch", flags.dispatch),
    ...(flags.rules ?? []).flatMap((file) => ["--rules", file]),
    ...(flags.live === true ? ["--live"] : []),
    ...option("--host-state", flags.hostState),
  ];
}
