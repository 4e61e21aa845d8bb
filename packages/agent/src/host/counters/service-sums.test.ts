import fc from "fast-check";
import { expect, test } from "vitest";
import { labelsKey, ServiceSums } from "./service-sums.ts";

const WEB = { service: "default/web", portName: "http", protocol: "tcp" };

test("the frontends of a service port are summed, and a counter that begins again takes nothing away", () => {
  const sums = new ServiceSums();
  const reading = (key: string, connections: number) => ({
    key,
    service: WEB,
    connections,
    bytesFromClients: connections * 10,
  });
  sums.take([reading("a", 5), reading("b", 7)]);
  expect(sums.all()).toEqual([{ ...WEB, connections: 12, bytesFromClients: 120 }]);
  sums.take([reading("a", 1), reading("b", 9)]);
  expect(sums.all()).toEqual([{ ...WEB, connections: 15, bytesFromClients: 150 }]);
  // A frontend that leaves takes its past along in nobody's books.
  sums.take([reading("b", 9)]);
  expect(sums.all()).toMatchObject([{ connections: 15 }]);
  sums.take([]);
  expect(sums.all()).toEqual([]);
});

test("what is open now is not summed over time", () => {
  const sums = new ServiceSums();
  const reading = (active: number) => [
    { key: "a", service: WEB, connections: 9, active },
    { key: "b", service: WEB, connections: 9, active: 1 },
  ];
  sums.take(reading(4));
  sums.take(reading(2));
  expect(sums.all()).toEqual([{ ...WEB, connections: 18, active: 3 }]);
});

test("sums never go back while a service is there, and count each connection once", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(5), { minLength: 3, maxLength: 3 })), (rounds) => {
      const sums = new ServiceSums();
      const counters = [0, 0, 0];
      let made = 0;
      for (const round of rounds) {
        for (const [index, grown] of round.entries()) {
          // One that began again, and counted on.
          if (grown === 5) counters[index] = 0;
          else {
            counters[index] = (counters[index] ?? 0) + grown;
            made += grown;
          }
        }
        sums.take(counters.map((connections, index) => ({ key: String(index), service: WEB, connections })));
        expect(sums.all()).toEqual([{ ...WEB, connections: made }]);
      }
    }),
  );
});

test("what was counted before us is not told, and says who is busy", () => {
  const sums = new ServiceSums();
  const reading = (connections: number) => [
    { key: "a", service: WEB, connections, bytesFromClients: connections * 10 },
  ];
  sums.take(reading(900), { isBaseline: true });
  expect(sums.all()).toEqual([{ ...WEB, connections: 0, bytesFromClients: 0 }]);
  expect([sums.countedOf(labelsKey(WEB)), sums.countedOf("other")]).toEqual([900, 0]);
  sums.take(reading(907));
  expect(sums.all()).toEqual([{ ...WEB, connections: 7, bytesFromClients: 70 }]);
});
