import { expect, test } from "vitest";
import { type Machine, thisMachine } from "../machine/machine.ts";
import { raiseConntrackLimits } from "./conntrack-limits.ts";

const MAX = "net.netfilter.nf_conntrack_max";
const ESTABLISHED = "net.netfilter.nf_conntrack_tcp_timeout_established";

function machineWith(sysctls: Readonly<Record<string, string>>, { isWritable = true } = {}) {
  const values = new Map(Object.entries(sysctls));
  const machine: Machine = {
    ...thisMachine,
    readSysctl: async (name) => values.get(name),
    writeSysctl: async (name, value) => isWritable && values.set(name, value) !== undefined,
  };
  return { machine, values };
}

/** The table's size is the machine's own, and is left alone by a limit that it is large enough for. */
const SMALL = { maxPerCore: 1, min: 100, tcpCloseWaitSeconds: 0, tcpBeLiberal: false };

test("the number of connections and a shorter timeout are raised", async () => {
  const { machine, values } = machineWith({ [MAX]: "50", [ESTABLISHED]: "600" });
  const { set, problems } = await raiseConntrackLimits(machine, SMALL);
  expect(set).toEqual([`${MAX}=100`, `${ESTABLISHED}=86400`]);
  expect(problems).toEqual([]);
  expect(values.get(MAX)).toBe("100");
});

test("what is large enough stays as somebody set it", async () => {
  const { machine, values } = machineWith({ [MAX]: "262144", [ESTABLISHED]: "432000" });
  expect(await raiseConntrackLimits(machine, SMALL)).toEqual({ set: [], problems: [] });
  expect(values.get(MAX)).toBe("262144");
});

test("0 leaves everything as it is", async () => {
  const { machine } = machineWith({ [MAX]: "50", [ESTABLISHED]: "5" });
  expect(await raiseConntrackLimits(machine, { ...SMALL, maxPerCore: 0, tcpEstablishedSeconds: 0 })).toEqual({
    set: [],
    problems: [],
  });
});

test("what cannot be set is named, with the way out", async () => {
  const { machine } = machineWith({ [MAX]: "50", [ESTABLISHED]: "86400" }, { isWritable: false });
  const { problems } = await raiseConntrackLimits(machine, SMALL);
  expect(problems).toMatchObject([
    {
      code: "SYSCTL_READ_ONLY",
      subject: MAX,
      text: expect.stringMatching(/read-only here, and is 50/),
      hint: expect.stringMatching(/--init-only/),
    },
  ]);
});
