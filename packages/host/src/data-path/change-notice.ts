/** How it is noticed that another program changes what is ours. */
export type ChangeNotice =
  /**
   * Each change of what nft or ip shows is told in a line of its own, and only those that concern ours need a look. For `ip` it is as `ip monitor`
   * prints it; for `nft` it begins with verb, object, family, table and name, as `nft monitor` has it: `delete element ip svcproxy services`; behind
   * the name of a rule's chain all names and comments of the rule are to be found, in any form.
   */
  | { readonly kind: "monitor"; readonly tool: "nft" | "ip"; readonly concerns: (line: string) => boolean }
  /** Nothing tells: somebody has to look from time to time. */
  | { readonly kind: "polling" };
