import { SubjectPath } from "../subject-path.ts";
import type { FaultReport } from "../text/fault-report.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";
import { ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";
import { Field } from "./field.ts";

/** The objects of some documents by what they are for. */
export interface KubernetesObjects {
  readonly services: readonly KubernetesObject[];
  readonly nodes: readonly KubernetesObject[];
  readonly pods: readonly KubernetesObject[];
  readonly endpoints: readonly KubernetesObject[];
  readonly endpointSlices: readonly KubernetesObject[];
  readonly serviceCIDRs: readonly KubernetesObject[];
  /** How many there are of each kind that says nothing about services. */
  readonly passedOver: ReadonlyMap<string, number>;
}

export interface KubernetesObject {
  readonly name: string;
  /** `default` where the object has none; empty where its kind has none. */
  readonly namespace: string;
  readonly field: Field;
}

/** Sorts the objects of all documents; lists are taken apart. */
export function collectObjects(documents: readonly SourceDocument[], report: FaultReport): KubernetesObjects {
  const collector = new Collector();
  for (const document of documents) {
    const reader = new ValueReader(document, report);
    if (isMapping(document.value) && Object.hasOwn(document.value, "hosts")) {
      const hint = "Give the topology file alone, or only Kubernetes objects";
      report.error("MIXED_INPUT", { document, path: [] }, "A topology among Kubernetes objects", hint);
      continue;
    }
    collector.add(document.value, { where: SubjectPath.root("the object"), reader, impliedKind: undefined });
  }
  return collector;
}

interface Location {
  readonly where: SubjectPath;
  readonly reader: ValueReader;
  /** What the items of a `ServiceList` are where they do not say it themselves. */
  readonly impliedKind: { readonly kind: string; readonly apiVersion: string } | undefined;
}

/** By kind and group: the versions that are served today, and those of which files are still around. */
const KINDS = new Map<string, Exclude<keyof KubernetesObjects, "passedOver">>([
  ["v1/Service", "services"],
  ["v1/Node", "nodes"],
  ["v1/Pod", "pods"],
  ["v1/Endpoints", "endpoints"],
  ["discovery.k8s.io/v1/EndpointSlice", "endpointSlices"],
  ["discovery.k8s.io/v1beta1/EndpointSlice", "endpointSlices"],
  ["networking.k8s.io/v1/ServiceCIDR", "serviceCIDRs"],
  ["networking.k8s.io/v1beta1/ServiceCIDR", "serviceCIDRs"],
]);

class Collector implements KubernetesObjects {
  readonly services: KubernetesObject[] = [];
  readonly nodes: KubernetesObject[] = [];
  readonly pods: KubernetesObject[] = [];
  readonly endpoints: KubernetesObject[] = [];
  readonly endpointSlices: KubernetesObject[] = [];
  readonly serviceCIDRs: KubernetesObject[] = [];
  readonly passedOver = new Map<string, number>();
  /** Where in its list each object is, by namespace and name. */
  readonly #places = new Map<readonly KubernetesObject[], Map<string, number>>();

  add(value: unknown, location: Location): void {
    const { where, reader, impliedKind } = location;
    const untyped = Field.root(value, { where, reader });
    const kind = untyped.get("kind").text() ?? impliedKind?.kind ?? "";
    const apiVersion = untyped.get("apiVersion").text() ?? impliedKind?.apiVersion ?? "";
    if (kind === "List" || (kind.endsWith("List") && isMapping(value) && Object.hasOwn(value, "items"))) {
      const items = untyped.get("items");
      // An empty list says so.
      const reason = "it is a list without items: it may have been cut off";
      if (!items.isSet) untyped.error("MISSING_KEY", reason, "Write items: [] for none");
      else this.#addItems(untyped, { reader, kind: kind.slice(0, -"List".length), apiVersion });
      return;
    }
    if (kind === "" && apiVersion !== "") {
      // Something else has neither; who is told nothing of this one would take its Service away.
      const reason = "it has an apiVersion, but no kind: it may have been cut off";
      untyped.error("MISSING_KEY", reason, "Write the whole object");
      return;
    }
    const target = KINDS.get(`${apiVersion}/${kind}`);
    if (target === undefined) {
      const meant = apiVersion === "" ? [...KINDS.keys()].find((key) => key.endsWith(`/${kind}`)) : undefined;
      if (meant !== undefined && !untyped.get("apiVersion").isSet) {
        const version = meant.slice(0, -kind.length - 1);
        untyped.error(
          "MISSING_KEY",
          `it is of kind ${kind}, but has no apiVersion`,
          `Give it one: apiVersion: ${version}`,
        );
        return;
      }
      const name = nameOfOther({ kind, apiVersion });
      this.passedOver.set(name, (this.passedOver.get(name) ?? 0) + 1);
      return;
    }
    this.#put(this[target], readObject(value, { where, reader, kind }));
  }

  /** An object that comes again is one still, and as it came last, which is what whoever applies them would get. */
  #put(list: KubernetesObject[], object: KubernetesObject): void {
    const key = `${object.namespace}/${object.name}`;
    const places = this.#places.get(list) ?? new Map<string, number>();
    this.#places.set(list, places);
    const at = places.get(key);
    const before = at === undefined ? undefined : list[at];
    if (at === undefined || before === undefined || object.name === "") {
      places.set(key, list.length);
      list.push(object);
      return;
    }
    const reason = "it comes a second time, and this one counts";
    object.field.warnAgain("DUPLICATE_NAME", { first: before.field, reason });
    list[at] = object;
  }

  #addItems(
    list: Field,
    { reader, kind, apiVersion }: { reader: ValueReader; kind: string; apiVersion: string },
  ): void {
    for (const item of list.get("items").items()) {
      const impliedKind = kind === "" ? undefined : { kind, apiVersion };
      if (!item.isSet) item.error("WRONG_TYPE", "must be a mapping, and there is nothing");
      else this.add(item.value, { where: item.where, reader, impliedKind });
    }
  }
}

/** How the log names what is passed over: with its version where the kind alone reads like one of ours. */
function nameOfOther({ kind, apiVersion }: { kind: string; apiVersion: string }): string {
  if (kind === "") return "object without a kind";
  const isNamesake = [...KINDS.keys()].some((key) => key.endsWith(`/${kind}`));
  return isNamesake ? `${kind} of ${apiVersion}` : kind;
}

/** What the API server demands of names, because they end up in comments, chains and paths. */
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const MAX_SUBDOMAIN_LENGTH = 253;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** An object of one of the kinds that say something about services; what is wrong with its names is reported. */
export function readObject(
  value: unknown,
  { where, reader, kind }: { where: SubjectPath; reader: ValueReader; kind: string },
): KubernetesObject {
  // Read aside: what is wrong here is said once the object can be named.
  const named = isMapping(value) && isMapping(value["metadata"]) ? value["metadata"] : {};
  const nameOf = (key: string) => (typeof named[key] === "string" ? named[key] : undefined);
  const name = nameOf("name") ?? "";
  const isOfCluster = kind === "Node" || kind === "ServiceCIDR";
  const namespace = isOfCluster ? "" : nameOf("namespace") || "default";
  const subject = where.named({ kind, name: isOfCluster ? name : `${namespace}/${name}` });
  const field = Field.root(value, { where: subject, reader });
  for (const key of isOfCluster ? ["name"] : ["name", "namespace"]) {
    const part = field.at("metadata", key);
    const text = part.text();
    if (!text && (key === "namespace" || (kind === "EndpointSlice" && nameOf("generateName")))) continue;
    if (text === undefined || text === "") field.error("MISSING_KEY", `metadata.${key}: it must have one`);
    else if (kind === "Service" || key === "namespace") {
      if (DNS_LABEL.test(text)) continue;
      part.error("BAD_NAME", `${quote(text)} is not a DNS label`, "Use up to 63 lower-case letters, digits and -");
    } else if (text.length > MAX_SUBDOMAIN_LENGTH || !DNS_SUBDOMAIN.test(text)) {
      part.error("BAD_NAME", `${quote(text)} is not a DNS name`, "Use lower-case letters, digits, - and .");
    }
  }
  return { name, namespace, field };
}
