import type { ApiClient } from "./api-client.ts";
import { ApiError, type ApiObject, objectOf, textOf } from "./api-error.ts";
import type { Resource } from "./resource.ts";

/** Objects of a resource, as many as come in one answer. */
export interface ListPage {
  readonly items: readonly ApiObject[];
  /** The list's: the same in all of its pages. */
  readonly version: string | undefined;
}

/** So many objects in a page. */
const PAGE = "500";

/**
 * All objects of a resource, page by page.
 *
 * @param options.onBytes called as they come in
 * @throws ApiError, also where a page has expired: then the list has to begin anew, because the token that comes with the refusal would mix two states
 */
export async function* listPages(
  {
    client,
    resource,
    onBytes,
  }: { readonly client: ApiClient; readonly resource: Resource; readonly onBytes?: () => void },
  signal: AbortSignal,
): AsyncGenerator<ListPage, void, undefined> {
  let token: string | undefined;
  do {
    const query = { ...resource.query, limit: PAGE, ...(token === undefined ? {} : { continue: token }) };
    const page = objectOf(await client.get({ path: resource.path, query, signal }, onBytes));
    const metadata = objectOf(page["metadata"]);
    const items = page["items"] ?? [];
    if (!Array.isArray(items)) throw new ApiError("the answer is not a list");
    yield { items: items.map(objectOf), version: textOf(metadata["resourceVersion"]) };
    token = textOf(metadata["continue"]) || undefined;
  } while (token !== undefined);
}
