// The least that Node does for a connection: native handles, accept, dial, both ways, and no policy, limit, timer or counter. Arguments: PORT TARGET-PORT …
import process from "node:process";
import { parseIpAddress, parsePort } from "@svcproxy/topology";
import type { ByteStream, StreamOwner } from "../../src/plane/byte-stream.ts";
import { handleDataPlane } from "../../src/plane/handle-streams.ts";
import { loadNativeHandles } from "../../src/plane/native-handles.ts";

const native = loadNativeHandles();
const address = parseIpAddress("127.0.0.1");
if (native === undefined || address === undefined) throw new Error("this Node lacks the native handles");
const plane = handleDataPlane(native);
const ports = process.argv.slice(2).map(Number).map(parsePort);
for (let index = 0; index + 1 < ports.length; index += 2) {
  const [port, target] = [ports[index], ports[index + 1]];
  if (port === undefined || target === undefined) throw new Error("the arguments are pairs of ports");
  plane.bind(address, port).accept(4096, (client) => {
    plane.dial(
      { address, port: target },
      { onDialled: (upstream) => new Relay(client, upstream), onDialFailed: () => client.reset() },
    );
  });
}

class Relay implements StreamOwner {
  readonly #client: ByteStream;
  readonly #upstream: ByteStream;
  #ends = 0;

  constructor(client: ByteStream, upstream: ByteStream) {
    this.#client = client;
    this.#upstream = upstream;
    client.owner = this;
    upstream.owner = this;
    client.startReading();
    upstream.startReading();
  }

  #other(stream: ByteStream): ByteStream {
    return stream === this.#client ? this.#upstream : this.#client;
  }

  onBytes(from: ByteStream, bytes: Uint8Array): void {
    if (!this.#other(from).write(bytes)) from.stopReading();
  }

  onWritten(to: ByteStream): void {
    this.#other(to).startReading();
  }

  onEnd(from: ByteStream): void {
    if (++this.#ends === 2) this.onFault();
    else this.#other(from).finish();
  }

  onFault(): void {
    this.#client.close();
    this.#upstream.close();
  }
}
