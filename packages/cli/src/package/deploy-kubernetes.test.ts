import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { loadInput } from "@svcproxy/topology";
import { validate } from "dockerfile-utils";
import { describe, expect, test } from "vitest";
import { buildProgram } from "../program.ts";

const folder = resolve(import.meta.dirname, "../../../../deploy/kubernetes");
const read = (file: string) => readFileSync(resolve(folder, file), "utf8");
const objects = (file: string): readonly Record<string, unknown>[] =>
  loadInput([{ file, bytes: Buffer.from(read(file)) }]).documents.map(({ value }) => Object(value));

test("the Containerfile has no finding", () => {
  expect(validate(read("Containerfile"))).toEqual([]);
});

describe("the DaemonSet", () => {
  const [daemonSet] = objects("daemonset.yaml");
  const { spec } = Object(daemonSet);
  const pod = spec.template.spec;
  const [agent] = pod.containers;
  const [init] = pod.initContainers;

  test("rolls out by the label that kube-proxy's affinity keeps kube-proxy off", () => {
    const affinityOf = (podSpec: Record<string, unknown>) =>
      Object(podSpec["affinity"]).nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]
        .matchExpressions[0];
    const [kubeProxy] = objects("kube-proxy-affinity.yaml");
    const [remove] = objects("remove.yaml");
    expect(affinityOf(pod)).toEqual({ key: "svcproxy.io/node", operator: "In", values: ["true"] });
    for (const other of [Object(kubeProxy).spec, Object(remove).spec]) {
      expect(affinityOf(other.template.spec)).toEqual({ key: "svcproxy.io/node", operator: "NotIn", values: ["true"] });
    }
    expect(spec.updateStrategy.rollingUpdate.maxUnavailable).toBe("10%");
  });

  test("has the host's network and no more rights than it takes", () => {
    expect(pod).toMatchObject({ hostNetwork: true, priorityClassName: "system-node-critical" });
    expect(pod.tolerations).toEqual([{ operator: "Exists" }]);
    expect(agent.securityContext).toEqual({
      ...{ privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
      capabilities: { drop: ["ALL"], add: ["NET_ADMIN", "SYS_RESOURCE", "SYS_CHROOT"] },
    });
    expect(init.args).toContain("--init-only");
    expect(agent.resources.limits).toEqual({ memory: expect.any(String) });
    for (const probe of [agent.startupProbe, agent.livenessProbe]) expect(probe.httpGet.path).toBe("/livez");
  });

  test("mounts the host read-only, its modules, and the lock of its iptables", () => {
    const mounts = new Map(agent.volumeMounts.map((mount: { name: string }) => [mount.name, mount]));
    expect(mounts.get("host")).toMatchObject({ mountPath: "/host", readOnly: true });
    expect(mounts.get("modules")).toMatchObject({ mountPath: "/lib/modules", readOnly: true });
    const lock = pod.volumes.find(({ name }: { name: string }) => name === "xtables-lock");
    expect(lock.hostPath).toEqual({ path: "/run/xtables.lock", type: "FileOrCreate" });
    expect(agent.env).toContainEqual({ name: "SVCPROXY_HOST_ROOT", value: "/host" });
  });

  test.for(["daemonset.yaml", "remove.yaml"])("what %s starts is what this command takes", (file) => {
    const [object] = objects(file);
    const { initContainers, containers } = Object(object).spec.template.spec;
    const all: readonly { args?: readonly string[] }[] = [...initContainers, ...containers];
    for (const { args } of all.filter((container) => container.args !== undefined)) {
      const seen: unknown[] = [];
      const program = buildProgram(async () => {
        seen.push(args);
      });
      program.exitOverride().parse([...(args ?? [])], { from: "user" });
      expect(seen).toEqual([args]);
    }
  });
});

test("the agent may do what kube-proxy may, and reads pods in nobody's name but the doctor's", () => {
  const [, binding] = objects("rbac.yaml");
  expect(binding).toMatchObject({ roleRef: { kind: "ClusterRole", name: "system:node-proxier" } });
  const [role] = objects("doctor-rbac.yaml");
  const { rules } = Object(role);
  expect(rules.flatMap(({ verbs }: { verbs: readonly string[] }) => verbs)).not.toContain("create");
  expect(rules[0].resources).toContain("pods");
});
