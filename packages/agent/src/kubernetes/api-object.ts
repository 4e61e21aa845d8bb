import { type ApiObject, objectOf, textOf } from "./api-error.ts";

/** `namespace/name`, or the name of what has no namespace. */
export function keyOf(object: ApiObject): string {
  const metadata = objectOf(object["metadata"]);
  const namespace = textOf(metadata["namespace"]);
  const name = textOf(metadata["name"]) ?? "";
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** Whether it is an object with a name, which each object of a server has. */
export function isNamed(value: unknown): boolean {
  return Boolean(textOf(objectOf(objectOf(value)["metadata"])["name"]));
}

/** Who wrote which field, and notes of people and programs, take more memory than all that counts. */
export function stripped(object: ApiObject): ApiObject {
  const { managedFields: _, annotations: __, ...metadata } = objectOf(object["metadata"]);
  return { ...object, metadata };
}
