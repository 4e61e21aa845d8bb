import { render } from "preact";
import { LocalData } from "../engine/local-data.ts";
import type { Viewed } from "../engine/viewed.ts";
import type { PageData } from "../model.ts";
import { App } from "./app.tsx";
import { answerOn } from "./worker/answer-port.ts";
import { PortData } from "./worker/port-data.ts";

/** What a page that was exported carries, as gzip. */
async function openViewed(packed: BlobPart): Promise<Viewed> {
  const text = new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
  return text.json();
}

/** The same script is the page's and its worker's. */
const script = globalThis.document?.currentScript?.textContent ?? "";

/** Rules of thousands of services take seconds to read: a thread of its own does it. Where there can be none, the page itself. */
async function openData(packed: Uint8Array<ArrayBuffer>): Promise<PageData> {
  try {
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    const { port1, port2 } = new MessageChannel();
    const data = new PortData(port1);
    worker.onerror = () => data.fail("What works the rules out has ended: open the page again");
    worker.postMessage({ packed, port: port2 }, [port2]);
    await data.state();
    return data;
  } catch {
    return new LocalData(await openViewed(packed));
  }
}

async function showPage(): Promise<void> {
  const packed = document.getElementById("viewed")?.textContent ?? "";
  const bytes = Uint8Array.from(atob(packed.trim()), (character) => character.charCodeAt(0));
  const data = await openData(bytes);
  render(<App data={data} isExported />, document.body);
}

function showDamage(): void {
  const words = "What this page shows is damaged: it was cut off, or changed. Export it again.";
  render(<p class="broken">{words}</p>, document.body);
}

if (globalThis.document === undefined)
  addEventListener("message", ({ data: { packed, port } }) => {
    answerOn(
      port,
      openViewed(packed).then((viewed) => new LocalData(viewed)),
    );
  });
else showPage().catch(showDamage);
