import type { EndpointTarget, FrontendSpec, Treatment } from "./frontend-spec.ts";

export interface Loop {
  readonly frontend: FrontendSpec;
  readonly endpoint: EndpointTarget;
}

/**
 * Takes out endpoints that are frontends of this very plan and lead back to where they are asked for: by rules such a connection is
 * refused, because an address is translated once; here one dial would go round until no descriptor is left, and one datagram for ever.
 * A frontend that is left without an endpoint refuses.
 */
export function cutLoops(frontends: ReadonlyMap<string, FrontendSpec>): {
  readonly frontends: ReadonlyMap<string, FrontendSpec>;
  /** What was taken out, each once. */
  readonly loops: readonly Loop[];
} {
  const onward = onwardTargets(frontends);
  const loops = [...onward].flatMap(([key, targets]) => {
    const frontend = frontends.get(key);
    const back = targets.filter((target) => leadsTo(key, { from: target.key, onward }));
    return frontend === undefined ? [] : back.map((endpoint) => ({ frontend, endpoint }));
  });
  const cut = new Map(frontends);
  for (const [key, found] of Map.groupBy(loops, ({ frontend }) => frontend.key)) {
    const frontend = frontends.get(key);
    if (frontend !== undefined) cut.set(key, without(frontend, new Set(found.map(({ endpoint }) => endpoint.key))));
  }
  return { frontends: cut, loops };
}

/** For each frontend that has such: its endpoints that are frontends themselves. A target and a frontend have the same key for the same place. */
function onwardTargets(frontends: ReadonlyMap<string, FrontendSpec>): ReadonlyMap<string, readonly EndpointTarget[]> {
  const onward = new Map<string, readonly EndpointTarget[]>();
  // Plans share lists of endpoints, so each is looked through once.
  const known = new Map<Treatment, readonly EndpointTarget[]>();
  const look = (treatment: Treatment) => {
    const found =
      known.get(treatment) ??
      (treatment.kind === "forward" ? treatment.endpoints.filter(({ key }) => frontends.has(key)) : []);
    known.set(treatment, found);
    return found;
  };
  for (const [key, { clients }] of frontends) {
    const targets = new Map(Object.values(clients).flatMap((treatment) => look(treatment).map((to) => [to.key, to])));
    if (targets.size > 0) onward.set(key, [...targets.values()]);
  }
  return onward;
}

function leadsTo(
  goal: string,
  { from, onward }: { from: string; onward: ReadonlyMap<string, readonly EndpointTarget[]> },
): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    if (key === goal) return true;
    if (seen.has(key)) continue;
    seen.add(key);
    open.push(...(onward.get(key) ?? []).map((target) => target.key));
  }
  return false;
}

function without(frontend: FrontendSpec, keys: ReadonlySet<string>): FrontendSpec {
  const cut = (treatment: Treatment): Treatment => {
    if (treatment.kind !== "forward") return treatment;
    const endpoints = treatment.endpoints.filter(({ key }) => !keys.has(key));
    return endpoints.length === 0 ? { kind: "refuse" } : { kind: "forward", endpoints };
  };
  const { pod, host, outside } = frontend.clients;
  return { ...frontend, clients: { pod: cut(pod), host: cut(host), outside: cut(outside) } };
}
