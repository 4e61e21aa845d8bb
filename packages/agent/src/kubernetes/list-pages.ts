import type { ApiClient } from "./api-client.ts";
import { ApiError, type ApiObject, objectOf, textOf } from "./api-error.ts";
import { isNamed } from "./api-object.ts";
import type { Resource } from "./resource.ts";

/** Objects of a resource, as many as come in one answer. */
export interface ListPage {
  readonly items: readonly ApiObject[];
  /** The list's: the same in all of its pages. */
  readonly version: string;
}

/** So many objects in a page. */
const PAGE = "500";

export interface ListOptions {
  readonly client: ApiClient;
  readonly resource: Resource;
  readonly onBytes?: () => void;
}

/**
 * All objects of a resource, page by page.
 *
 * @param options.onBytes called as they come in
 * @throws ApiError, also where a page has expired: then the list has to begin anew, because the token that comes with the refusal would mix two states
 */
export async function* listPages(
  { client, resource, onBytes }: ListOptions,
  signal: AbortSignal,
): AsyncGenerator<ListPage, void, undefined> {
  let token: string | undefined;
  do {
    const query = { ...resource.query, limit: PAGE, ...(token === undefined ? {} : { continue: token }) };
    const page = await client.get({ path: resource.path, query, signal }, onBytes);
    const { items, metadata, version } = readList(page, resource);
    yield { items, version };
    token = textOf(metadata["continue"]) || undefined;
  } while (token !== undefined);
}

/** The version that the store of a server is at. It costs one object. @throws ApiError */
export async function currentVersion({ client, resource, onBytes }: ListOptions, signal: AbortSignal): Promise<string> {
  const list = await client.get({ path: resource.path, query: { limit: "1" }, signal }, onBytes);
  return readList(list, resource).version;
}

/** What is no list is no empty list: a balancer between us and the server may answer with anything. */
function readList(value: unknown, { kind, plural }: Resource) {
  const list = objectOf(value);
  const metadata = objectOf(list["metadata"]);
  const version = textOf(metadata["resourceVersion"]);
  // As Go writes an empty one.
  const items = list["items"] ?? [];
  if (list["kind"] !== `${kind}List` || !version || !Array.isArray(items) || !items.every(isNamed)) {
    throw new ApiError(`the answer is not a list of ${plural}: ${JSON.stringify(value).slice(0, MAX_QUOTED)}`);
  }
  return { items: items.map(objectOf), metadata, version };
}

const MAX_QUOTED = 60;
