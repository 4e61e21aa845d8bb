/** IFNAMSIZ counts a zero at the end. */
const MAX_NAME_BYTES = 15;

/** Why a text names no network interface, or begins no name of one, and how to mend it. */
export interface InterfaceNameFinding {
  readonly reason: string;
  readonly hint: string;
}

/**
 * What is wrong with the name of a network interface, or with how the names of several begin: rules that hold it would not load, or
 * would match others.
 *
 * @returns undefined for one that the kernel takes and that rules can match
 * @see linux net/core/dev.c, dev_valid_name; iptables libxtables/xtables.c, xtables_parse_interface
 */
export function judgeInterfaceName(text: string, kind: "name" | "prefix"): InterfaceNameFinding | undefined {
  const what = kind === "name" ? "no name of a network interface" : "no beginning of a network interface's name";
  if (text.endsWith("+")) {
    const hint =
      kind === "name"
        ? "Take detectLocalMode InterfaceNamePrefix for several interfaces"
        : "Leave out the +: rules get it";
    return { reason: "a + at the end stands for any further letters", hint };
  }
  if (/[\s/:\p{Cc}]/u.test(text) || text === "" || (kind === "name" && /^\.\.?$/.test(text))) {
    return { reason: what, hint: "Blanks, / and : cannot be in it; `ip link` lists the names" };
  }
  // The + that rules put behind a prefix counts too.
  const most = kind === "name" ? MAX_NAME_BYTES : MAX_NAME_BYTES - 1;
  if (new TextEncoder().encode(text).length <= most) return undefined;
  return { reason: `${what}: it is too long`, hint: `It may have ${most} bytes` };
}
