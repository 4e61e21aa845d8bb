import { expect, test } from "vitest";
import { LocalData } from "../engine/local-data.ts";
import { viewedOf } from "../testing/example-viewed.ts";
import { partOfView, partsOf } from "./part-of-view.ts";

const SERVICE = {
  name: "web",
  clusterIPs: ["10.96.0.1", "fd00:a::1"],
  ports: [
    { name: "http", port: 80 },
    { name: "metrics", port: 9090 },
  ],
  endpoints: ["10.9.9.9:80", "[fd00:9::9]:80", "10.9.9.10:80"],
};

test("each port and family of a service is a part with its own endpoints", async () => {
  const [view] = await new LocalData(viewedOf([SERVICE])).service("default/web");
  if (view === undefined) throw new Error("no view");
  expect(partsOf(view)).toEqual({ portNames: ["http", "metrics"], families: [4, 6] });
  const { frontends, endpoints } = partOfView(view, { portName: "metrics", family: 4 });
  expect(frontends.map(({ address, port }) => [address, port])).toEqual([["10.96.0.1", 9090]]);
  expect(endpoints.map(({ address }) => address)).toEqual(["10.9.9.9", "10.9.9.10"]);
  expect(frontends[0]?.clients.pod).toEqual({ kind: "forward", endpoints: [0, 1] });
  expect(partOfView(view, { portName: "http", family: 6 }).endpoints).toMatchObject([{ address: "fd00:9::9" }]);
});
