import { serviceName } from "@svcproxy/host";
import type { Service, ServicePortPlan } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf } from "../walk/finding.ts";

/**
 * Services that cannot be served, whatever the host does: nobody is ready.
 *
 * @param isAsked whether these services were asked for: then what is by design is told as well
 */
export function checkPlan(
  ports: readonly ServicePortPlan[],
  { at, isAsked }: { readonly at: ObservedHost; readonly isAsked: boolean },
): readonly Cause[] {
  const byService = Map.groupBy(ports, ({ service }) => service);
  return [...byService].flatMap(([service, own]): readonly Cause[] => [
    ...notReady(service, own, at),
    ...(isAsked ? notLocal(own, at) : []),
  ]);
}

function notReady(service: Service, own: readonly ServicePortPlan[], at: ObservedHost): readonly Cause[] {
  const empty = own.filter(({ hasEndpoints, frontends }) => !hasEndpoints && frontends.length > 0);
  const [first] = empty;
  if (first === undefined) return [];
  const name = serviceName(first);
  const listed = service.ports.flatMap(({ endpoints }) => endpoints);
  const conditions = [
    [listed.filter(({ ready, terminating }) => !ready && !terminating).length, "not ready"],
    [listed.filter(({ terminating }) => terminating).length, "terminating"],
  ].filter(([count]) => count !== 0);
  return [
    causeOf(
      {
        code: "NO_READY_ENDPOINT",
        severity: "warning",
        subject: `service ${name}`,
        text: `${name} has no endpoint that is ready, so its clients are refused`,
        evidence: [
          listed.length === 0
            ? "the topology lists no endpoint for it"
            : conditions.length === 0
              ? `its ${listed.length} endpoints lead back to it, or to no one here, and are left out`
              : `of ${listed.length} endpoints ${conditions.map(([count, what]) => `${count} are ${what}`).join(", ")}`,
        ],
        suspect: listed.length === 0 ? "a selector that matches no pod, or a named port that no pod has" : undefined,
        remedy: [],
        hint:
          listed.length === 0
            ? "Compare the service's selector and port names with its pods' labels and ports"
            : conditions.length === 0
              ? "Give it endpoints that serve by themselves, not by a service"
              : "Look why its pods are not ready",
      },
      {
        host: at.name,
        sufferers: (["pod", "host"] as const).map((client) => ({ service: name, client, share: 1 })),
      },
    ),
  ];
}

/** Policy Local: whoever dials this host is not served by others. */
function notLocal(own: readonly ServicePortPlan[], at: ObservedHost): readonly Cause[] {
  const silent = own.find(({ frontends }) =>
    frontends.some(({ clients }) => Object.values(clients).some(({ kind }) => kind === "drop")),
  );
  if (silent === undefined) return [];
  const name = serviceName(silent);
  const hosts = [
    ...new Set(
      silent.service.ports.flatMap(({ endpoints }) =>
        endpoints.flatMap(({ host, ready }) => (ready && host !== undefined ? [host] : [])),
      ),
    ),
  ];
  return [
    causeOf(
      {
        code: "NO_LOCAL_ENDPOINT",
        severity: "warning",
        subject: `service ${name}`,
        text: `${name} has traffic policy Local and no endpoint on ${at.name}: who dials it here gets no answer, by design`,
        evidence: [
          hosts.length === 0 ? "no host has a ready endpoint of it" : `its ready endpoints are on ${hosts.join(", ")}`,
        ],
        remedy: [],
        hint: "Dial a host that has an endpoint, or set the policy to Cluster",
      },
      { host: at.name, sufferers: [{ service: name, client: "outside", share: 1 }] },
    ),
  ];
}
