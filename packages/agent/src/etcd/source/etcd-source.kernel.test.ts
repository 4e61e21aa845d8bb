import { describe } from "vitest";
import { describeSource } from "../../testing/source-contract.ts";
import { commit } from "../client/etcd-store.ts";
import { putText } from "../testing/put-text.ts";
import { ETCDS, RealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";
import { EtcdSource } from "./etcd-source.ts";

const reason = whyNoEtcd();

describe.skipIf(reason !== undefined).for(ETCDS)(
  `with a real etcd, %s${reason === undefined ? "" : ` (${reason})`}`,
  (program) => {
    describeSource("etcd", async () => {
      const etcd = await RealEtcd.start({ program });
      const client = etcd.client();
      return {
        source: new EtcdSource({ settings: etcd.settings, guardLeast: 10, ownHost: () => "a" }),
        write: async (text) => void (await putText(client, text)),
        spoilEntry: async (service) => {
          const key = `/svcproxy/services/${service}`;
          await commit(client, [{ kind: "put", key, value: "ports: [" }], { doing: "spoil it" });
        },
        spoil: async () => {
          await commit(client, [{ kind: "delete-prefix", prefix: "/svcproxy/" }], { doing: "wipe it" });
        },
        [Symbol.asyncDispose]: async () => {
          client.close();
          await etcd[Symbol.asyncDispose]();
        },
      };
    });
  },
);
