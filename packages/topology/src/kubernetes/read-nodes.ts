import { type Cidr, type Family, familyOf, type IpAddress } from "../address.ts";
import { explainAddress } from "../explain-address.ts";
import type { Host } from "../model.ts";
import { quote } from "../visible.ts";
import { type Field, parseSloppyCidr } from "./field.ts";
import type { KubernetesObject } from "./kubernetes-objects.ts";

/** A host without its pods, and the object that it was read from. */
export interface KubernetesNode {
  readonly host: Omit<Host, "pods">;
  readonly field: Field;
}

/** Nodes as hosts: their internal addresses (the external ones are usually a router's), podCIDRs and zone. */
export function readNodes(objects: readonly KubernetesObject[]): readonly KubernetesNode[] {
  return objects.flatMap((object) => readNode(object, { lacking: "no rules can be made for it" }) ?? []);
}

/** @param options.lacking what follows where it has no address; undefined is what is told then */
export function readNode(
  { field, name }: KubernetesObject,
  { lacking }: { readonly lacking: string },
): KubernetesNode | undefined {
  const addresses = readAddresses(field);
  if (addresses.length === 0) {
    field.get("status").warning("NO_NODE_ADDRESS", `it has no InternalIP, so ${lacking}`);
    return undefined;
  }
  const zone = field.at("metadata", "labels", "topology.kubernetes.io/zone").text();
  const host = { name, addresses, podCIDRs: readPodCIDRs(field.get("spec")), ...(zone ? { zone } : {}) };
  return { host, field };
}

function readAddresses(node: Field): readonly IpAddress[] {
  const listed = node.at("status", "addresses").items();
  const ofType = (type: string) =>
    listed.filter((item) => item.get("type").text() === type).flatMap((item) => item.get("address").address() ?? []);
  const internal = ofType("InternalIP");
  return [...new Set(internal.length > 0 ? internal : ofType("ExternalIP"))];
}

function readPodCIDRs(spec: Field): readonly Cidr[] {
  const several = spec.get("podCIDRs").items();
  const fields = several.length > 0 ? several : [spec.get("podCIDR")];
  const families = new Set<Family>();
  return fields.flatMap((field) => {
    const cidr = readCidr(field);
    if (cidr === undefined) return [];
    const family = familyOf(cidr.address);
    if (families.has(family)) {
      field.error("FAMILY_TWICE", `a second IPv${family} block; there can be one a family`);
      return [];
    }
    families.add(family);
    return [cidr];
  });
}

/** A block with Kubernetes' leniency: blanks around it, leading zeros. */
export function readCidr(field: Field): Cidr | undefined {
  const text = field.filledText()?.trim();
  if (text === undefined) return undefined;
  const read = parseSloppyCidr(text);
  if (read === undefined)
    field.error("BAD_CIDR", `${quote(text)} is not a block of addresses`, explainAddress(text, "cidr"));
  else if (read.isSloppy)
    field.warning("SLOPPY_ADDRESS", `${quote(text)} is read as ${read.cidr.address}/${read.cidr.prefixLength}`);
  return read?.cidr;
}
