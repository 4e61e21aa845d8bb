import { join } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "nft", "curl", "setpriv"]);

const SET_UP = `
ip link set lo up && ip addr add 192.0.2.1/32 dev lo
ip link add cni0 type bridge && ip addr add 10.5.75.1/24 dev cni0 && ip link set cni0 up
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
`;

const NAMES = ["web", "db"];

function topology({ dbPort }: { readonly dbPort: number }) {
  return {
    hosts: [{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" }],
    services: NAMES.map((name, index) => ({
      name,
      clusterIP: `10.100.0.${index + 1}`,
      ports: [{ port: 80 }],
      endpoints: [`10.5.75.${index + 2}:${name === "db" ? dbPort : 3000}`],
    })),
  };
}

function start(host: ProxyHost, args: readonly string[], below: readonly string[] = []): HostProgram {
  return host.svcproxy(args, ["env", `RUNTIME_DIRECTORY=${join(host.folder, "run")}`, ...below]);
}

async function startAgent(host: ProxyHost, file: string): Promise<HostProgram> {
  const none = ["--healthz-bind-address", "none", "--metrics-bind-address", "none"];
  const agent = start(host, ["run", file, "--host", "one", "--data-path", "nftables", "--log-format", "json", ...none]);
  await agent.says('"msg":"following"');
  return agent;
}

describe.skipIf(reason !== undefined)(`the page of an agent${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("shows what it keeps, is told what changes, and when it is gone and back", async () => {
    await using host = await ProxyHost.create();
    await host.shell(SET_UP);
    const file = await host.writeTopology(topology({ dbPort: 3000 }));
    const agent = await startAgent(host, file);
    const view = start(host, ["view", "--agent"]);
    await view.says("http://127.0.0.1:");
    const url = view.stdout.trim();
    const get = async (path: string) => JSON.parse(await host.shell(`curl -s '${url}${path}'`));
    const state = await get("state");
    expect(state.services).toMatchObject([
      { id: "default/web", states: [{ kind: "in-force" }] },
      { id: "default/db", states: [{ kind: "in-force" }] },
    ]);
    const [db] = await get("service?id=default/db");
    expect(db.elements.map(({ element }: { element: string }) => element).join()).toContain("10.5.75.3 . 3000");
    expect(db.readAt).toMatch(/^2\d{3}-/);
    const trace = await get("trace?host=one&from=10.5.75.9&to=10.100.0.2&port=80&protocol=tcp");
    expect(trace.branches).toMatchObject([{ endpoint: "10.5.75.3:3000" }]);

    const events = host.start(["curl", "-sN", `${url}events?have=${state.takenAt}`]);
    await events.says('"kind":"fresh"');
    await host.writeTopology(topology({ dbPort: 4000 }));
    // Other things of the state may change before.
    const lineOfChange = () =>
      events.stdout
        .split("\n")
        .slice(0, -1)
        .find((text) => text.includes('"port":4000'));
    await until(
      async () => lineOfChange() !== undefined,
      () => "the change is not told",
    );
    const { change } = JSON.parse(lineOfChange()?.replace("data: ", "") ?? "");
    expect(change.services).toMatchObject([
      { kept: [0, 1] },
      { put: [{ id: "default/db", endpoints: [{ port: 4000 }] }] },
    ]);
    const again = await get("service?id=default/web");
    expect(again).toHaveLength(1);
    await until(
      async () => JSON.stringify(await get("service?id=default/db")).includes("10.5.75.3 . 4000"),
      () => "the element that was changed is not shown",
    );

    await agent.kill("SIGTERM");
    await events.says("No svcproxy run answers");
    const freshBefore = events.stdout.split('"kind":"fresh"').length;
    await startAgent(host, file);
    await until(
      async () => events.stdout.split('"kind":"fresh"').length > freshBefore,
      () => "it is not said that the agent is back",
    );
    expect((await get("state")).source).toContain("which follows");
    events.signal("SIGTERM");
    expect(await view.kill("SIGTERM")).toBe(0);
  });

  test("is not for who may not ask it, and is no page where none runs", async () => {
    await using host = await ProxyHost.create();
    await host.shell(SET_UP);
    const none = start(host, ["view", "--agent"]);
    expect(await none.end()).toBe(1);
    expect(none.stderr).toMatch(/No svcproxy run answers on .*agent.*\.sock/);
    const file = await host.writeTopology(topology({ dbPort: 3000 }));
    await startAgent(host, file);
    const nobody = [
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "--inh-caps=-all",
      "--bounding-set=-all",
    ];
    await host.shell(`chmod 755 ${host.folder} ${join(host.folder, "run")}`);
    const refused = start(host, ["view", "--agent", "-o", "-"], nobody);
    expect(await refused.end()).toBe(1);
    expect(refused.stderr).toMatch(/may not ask the agent/);
    const page = start(host, ["view", "--agent", "-o", "-"]);
    expect(await page.end()).toBe(0);
    expect(page.stdout).toContain('id="viewed"');
  });
});
