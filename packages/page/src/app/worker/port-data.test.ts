import { expect, onTestFinished, test, vi } from "vitest";
import { LocalData } from "../../engine/local-data.ts";
import type { PageEvent } from "../../model.ts";
import { exampleViewed, FIREWALL } from "../../testing/example-viewed.ts";
import { answerOn } from "./answer-port.ts";
import { PortData } from "./port-data.ts";

function joined() {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const local = new LocalData(exampleViewed({ extra: FIREWALL }));
  answerOn(port2, Promise.resolve(local));
  return { data: new PortData(port1), local };
}

const PACKET = { host: "cloudos1", from: "10.5.75.2", to: "10.100.100.2", port: 6060, protocol: "tcp" };

test("answers are those of the data behind the port", async () => {
  const { data, local } = joined();
  expect(await data.state()).toEqual(await local.state());
  expect(await data.service("default/service1")).toEqual(await local.service("default/service1"));
  expect(await data.trace(PACKET)).toEqual(await local.trace(PACKET));
  expect(await data.connections("cloudos1", "default/service1")).toBeUndefined();
});

test("what cannot be answered is told in its sentence", async () => {
  const { data } = joined();
  await expect(data.trace({ ...PACKET, from: "nowhere" })).rejects.toThrow('"nowhere" is not an IP address');
});

test("who follows is told until they stop", async () => {
  const { data } = joined();
  const events: PageEvent[] = [];
  const stop = data.follow((event) => events.push(event));
  await vi.waitFor(() => expect(events.map(({ kind }) => kind)).toContain("judged"), { timeout: 30_000 });
  stop();
});

test("who waits is told when nobody is behind the port any more", async () => {
  const { port1 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const data = new PortData(port1);
  const asked = data.state();
  data.fail("it has ended");
  await expect(asked).rejects.toThrow("it has ended");
});
