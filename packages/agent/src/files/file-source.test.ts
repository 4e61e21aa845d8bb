import { execFile } from "node:child_process";
import { once } from "node:events";
import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { MAX_FILE_BYTES } from "@svcproxy/topology";
import { describe, expect, onTestFinished, test } from "vitest";
import type { SourceEvent, SourceSnapshot } from "../source.ts";
import { describeSource } from "../testing/source-contract.ts";
import { FileSource, type FileSourceOptions } from "./file-source.ts";

const SETTLE_MS = 20;

for (const kind of ["a file replaced by rename", "a directory"]) {
  describeSource(kind, async () => {
    const folder = await mkdtemp(join(tmpdir(), "svcproxy-source-"));
    await writeFile(join(folder, "README.md"), "not of interest");
    const file = join(folder, "topology.yaml");
    let last = "";
    const write = (text: string) => {
      last = text;
      return replace(file, text);
    };
    return {
      source: new FileSource({ inputs: [kind === "a directory" ? folder : file], watch: true, settleMs: SETTLE_MS }),
      write,
      spoil: () => replace(file, "services: ["),
      spoilEntry: (service) => replace(file, last.replace(`name: ${service.split("/")[1]},`, "$& externalIPs: [1],")),
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  });
}

describe("how a file changes", () => {
  test("written in place", async () => {
    const { file, names } = await following("one");
    await writeFile(file, topologyOf("two"));
    expect(await names()).toEqual(["two"]);
  });

  test("written in place in steps: half of it is never read", async () => {
    const { file, events } = await following("one", { settleMs: 2_000 });
    const whole = topologyOf("two", "three");
    await writeFile(file, whole.slice(0, whole.indexOf("  - { name: three")));
    await new Promise((resolve) => setTimeout(resolve, 60));
    await appendFile(file, whole.slice(whole.indexOf("  - { name: three")));
    expect(namesOf(await next(events))).toEqual(["two", "three"]);
  });

  test("written in place, and shorter than before at a whole entry: it has three times as long to go on", async () => {
    const { file, events } = await following("one", { settleMs: 300 });
    const more = topologyOf("two", "three", "four");
    await writeFile(file, more);
    expect(namesOf(await next(events))).toEqual(["two", "three", "four"]);
    const whole = topologyOf("five", "six", "seven");
    await writeFile(file, whole.slice(0, whole.indexOf("  - { name: six")));
    await new Promise((resolve) => setTimeout(resolve, 500));
    await appendFile(file, whole.slice(whole.indexOf("  - { name: six")));
    expect(namesOf(await next(events))).toEqual(["five", "six", "seven"]);
    await writeFile(file, topologyOf("eight"));
    expect(namesOf(await next(events))).toEqual(["eight"]);
  });

  test("written in place, and asked for: it is read at once", async () => {
    const { file, source, events } = await following("one", { settleMs: 600_000 });
    await writeFile(file, "");
    await writeFile(file, topologyOf("two", "three"));
    source.refresh();
    expect(namesOf(await next(events))).toEqual(["two", "three"]);
    await writeFile(file, topologyOf("two"));
    source.refresh();
    expect(namesOf(await next(events))).toEqual(["two"]);
  });

  test("being written in steps at the start: half of it is never read", async () => {
    const file = join(await temporaryFolder(), "topology.yaml");
    const whole = topologyOf("one", "two");
    await writeFile(file, whole.slice(0, whole.indexOf("  - { name: two")));
    const first = next(eventsOf(new FileSource({ inputs: [file], watch: true, settleMs: 300 })));
    await new Promise((resolve) => setTimeout(resolve, 60));
    await appendFile(file, whole.slice(whole.indexOf("  - { name: two")));
    expect(namesOf(await first)).toEqual(["one", "two"]);
  });

  test("replaced by rename, more than once, without waiting for it to settle", async () => {
    const { file, names } = await following("one", { settleMs: 600_000 });
    for (const name of ["two", "three"]) {
      await replace(file, topologyOf(name));
      expect(await names()).toEqual([name]);
    }
  });

  test("a ConfigMap volume's swap of ..data, and the next one too", async () => {
    const folder = await temporaryFolder();
    const fill = async (version: string) => {
      await mkdir(join(folder, `..${version}`));
      await writeFile(join(folder, `..${version}`, "topology.yaml"), topologyOf(version));
      await symlink(`..${version}`, join(folder, "..data_tmp"));
      await rename(join(folder, "..data_tmp"), join(folder, "..data"));
    };
    await fill("v1");
    await symlink("..data/topology.yaml", join(folder, "topology.yaml"));
    for (const path of [join(folder, "topology.yaml"), folder]) {
      const { names } = await follow([path]);
      const version = path === folder ? "v4" : "v2";
      await fill(version);
      expect(await names()).toEqual([version]);
      await rm(join(folder, "..v1"), { recursive: true, force: true });
      await fill(`${version}-next`);
      expect(await names()).toEqual([`${version}-next`]);
    }
  });

  test("behind a link to a folder, the file in the new folder is followed", async () => {
    const folder = await temporaryFolder();
    for (const release of ["a", "b"]) {
      await mkdir(join(folder, release));
      await writeFile(join(folder, release, "topology.yaml"), topologyOf(release));
    }
    await symlink("a", join(folder, "current"));
    const { names } = await follow([join(folder, "current", "topology.yaml")]);
    await symlink("b", join(folder, "next"));
    await rename(join(folder, "next"), join(folder, "current"));
    expect(await names()).toEqual(["b"]);
    await writeFile(join(folder, "b", "topology.yaml"), topologyOf("b-edited"));
    expect(await names()).toEqual(["b-edited"]);
  });

  test("touched, or replaced by the same: nothing is told", async () => {
    const { file, events } = await following("one");
    await replace(file, topologyOf("one"));
    await utimes(file, new Date(), new Date());
    await new Promise((resolve) => setTimeout(resolve, 100));
    await replace(file, topologyOf("two"));
    expect(namesOf(await next(events))).toEqual(["two"]);
  });

  test("written again with the same size and time: found by its content while the clock is too coarse to tell", async () => {
    const { file, names } = await following("one", { pollMs: 30 });
    const time = new Date();
    await utimes(file, time, time);
    await writeFile(file, topologyOf("two"));
    await utimes(file, time, time);
    expect(await names()).toEqual(["two"]);
  });

  test("removed with its folder and made anew: found by looking from time to time", async () => {
    const folder = join(await temporaryFolder(), "config");
    await mkdir(folder);
    const file = join(folder, "topology.yaml");
    await writeFile(file, topologyOf("one"));
    const { events, names } = await follow([file], { pollMs: 30 });
    await rm(folder, { recursive: true });
    expect(await next(events)).toMatchObject({ kind: "problem" });
    await mkdir(folder);
    await writeFile(file, topologyOf("two"));
    expect(await names()).toEqual(["two"]);
  });
});

describe("what is not a file any more is a problem, and following goes on", () => {
  test.for<{ readonly name: string; readonly put: (path: string) => Promise<unknown>; readonly text: string }>([
    { name: "nothing", put: async () => {}, text: "there is no such file" },
    { name: "an empty file", put: (path) => writeFile(path, ""), text: "There is nothing in it" },
    {
      name: "a pipe that nobody writes to",
      put: (path) => promisify(execFile)("mkfifo", [path]),
      text: "it is a pipe",
    },
    { name: "a device", put: (path) => symlink("/dev/zero", path), text: "it is a device" },
    { name: "a directory", put: (path) => mkdir(path), text: "it is a directory now" },
    { name: "a socket", put: listenOn, text: "it is a socket" },
    { name: "a file of more than 64 MiB", put: makeHuge, text: "a file may hold 64 MiB" },
    { name: "a link that leads to itself", put: (path) => symlink(path, path), text: "go round in a circle" },
  ])("$name", async ({ put, text }) => {
    const { file, events, names } = await following("one", { pollMs: 30 });
    await rm(file);
    await put(file);
    for (;;) {
      const event = await next(events);
      if (event.kind !== "problem") throw new Error("it has no problem");
      if (event.problems[0].text.includes(text)) break;
    }
    await rm(file, { recursive: true, force: true });
    await replace(file, topologyOf("two"));
    expect(await names()).toEqual(["two"]);
  });

  test("a file cut off in the middle", async () => {
    const { file, events } = await following("one");
    await truncate(file, topologyOf("one").length - 5);
    expect(await next(events)).toMatchObject({ kind: "problem", problems: [{ code: "SYNTAX", at: { file } }] });
  });

  test("the same problem is told once", async () => {
    const { file, events, names } = await following("one", { pollMs: 20 });
    await rm(file);
    expect((await next(events)).kind).toBe("problem");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await replace(file, topologyOf("two"));
    expect(await names()).toEqual(["two"]);
  });
});

describe("a directory", () => {
  test("is the files in it: they come, change and go", async () => {
    const folder = await temporaryFolder();
    const object = (name: string, address: string) =>
      `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { clusterIP: ${address}, ports: [{ port: 80 }] } }`;
    await writeFile(join(folder, "one.yaml"), object("one", "10.96.0.1"));
    const { events } = await follow([folder]);
    await writeFile(join(folder, "two.json"), object("two", "10.96.0.2").replace(/(\w+)(?=[:,} ])/g, "$1"));
    expect(await nextChange(events)).toEqual([["one", "two"], ["default/two"]]);
    await replace(join(folder, "one.yaml"), object("one", "10.96.0.9"));
    expect(await nextChange(events)).toEqual([["one", "two"], ["default/one"]]);
    await rm(join(folder, "one.yaml"));
    expect(await nextChange(events)).toEqual([["two"], ["default/one"]]);
  });

  test.for(["topology.yaml", "."])("a file that ends within a line may have been cut off: %s", async (input) => {
    const folder = await temporaryFolder();
    const file = join(folder, "topology.yaml");
    const text = topologyOf("one", "two");
    await writeFile(file, text);
    const { events } = await follow([join(folder, input)], { pollMs: 30 });
    const cut = text.slice(0, text.lastIndexOf("  - { name: two") + 1);
    await replace(file, cut);
    const fault = {
      code: "CUT_OFF",
      at: { file, line: cut.split("\n").length, column: 2 },
      hint: expect.stringContaining("line break"),
    };
    expect(await next(events)).toMatchObject({ kind: "problem", problems: [fault] });
    await replace(file, topologyOf("one"));
    expect(await nextChange(events)).toEqual([["one"], ["default/two"]]);
    // In brackets it is whole, or cannot be read.
    await replace(
      file,
      `{ hosts: [{ name: a, address: 192.0.2.1 }], services: [{ name: three, clusterIP: 10.96.0.1, ports: [{ port: 80 }] }] }`,
    );
    expect(await nextChange(events)).toEqual([["three"], ["default/one", "default/three"]]);
    // Whoever never ends the last line means it so.
    await replace(file, topologyOf("four").trimEnd());
    expect(await nextChange(events)).toEqual([["four"], ["default/three", "default/four"]]);
  });

  test("a file that was emptied takes nothing away, but is a problem; a pipe among the files is one too", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "topology.yaml"), topologyOf("one"));
    await writeFile(join(folder, "empty.yaml"), "# nothing yet\n");
    const { events } = await follow([folder], { pollMs: 30 });
    await writeFile(join(folder, "topology.yaml"), "");
    expect(await next(events)).toMatchObject({ kind: "problem", problems: [{ code: "EMPTY_FILE" }] });
    await writeFile(join(folder, "topology.yaml"), topologyOf("one"));
    expect(await nextChange(events)).toEqual([["one"], []]);
    const pipe = join(folder, "pipe.yaml");
    await promisify(execFile)("mkfifo", [pipe]);
    expect(await next(events)).toMatchObject({
      kind: "snapshot",
      refused: [{ entry: pipe, isKept: false, problems: [{ code: "FILE_UNREADABLE" }] }],
    });
    await rm(pipe);
    expect(await next(events)).toMatchObject({ kind: "snapshot", refused: [], changed: new Set() });
  });

  test("a file that cannot be read keeps what it was, is named, and holds up no other; removed, it is gone on purpose", async () => {
    const folder = await temporaryFolder();
    const [one, two] = [join(folder, "one.yaml"), join(folder, "two.yaml")];
    const object = (name: string, address: string) =>
      `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { clusterIP: ${address}, ports: [{ port: 80 }] } }`;
    await writeFile(one, object("one", "10.96.0.1"));
    await writeFile(two, object("two", "10.96.0.2"));
    const { events } = await follow([folder], { pollMs: 30 });
    await replace(one, `${object("one", "10.96.0.8")} }`);
    const broken = snapshotOf(await next(events));
    expect(broken).toMatchObject({
      changed: new Set(),
      refused: [{ entry: one, isKept: true, problems: [{ code: "SYNTAX", at: { file: one } }] }],
    });
    await replace(two, object("two", "10.96.0.9"));
    const changed = snapshotOf(await next(events));
    expect([namesOf(changed), changed.changed]).toEqual([["one", "two"], new Set(["default/two"])]);
    expect(changed.refused?.[0]?.since).toEqual(broken.refused?.[0]?.since);
    await rm(one);
    const without = snapshotOf(await next(events));
    expect([namesOf(without), without.refused]).toEqual([["two"], []]);
  });

  test("the last good state of what is refused outlives the process, and ends with the fault", async () => {
    const [folder, lastGoodPath] = [await temporaryFolder(), join(await temporaryFolder(), "last-good.json")];
    const object = (name: string, address: string, port = 80) =>
      `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { clusterIP: ${address}, ports: [{ port: ${port} }] } }`;
    const write = (name: string, text: string) => replace(join(folder, `${name}.yaml`), text);
    for (const [index, name] of ["bad", "broken", "emptied", "well"].entries())
      await write(name, object(name, `10.96.0.${index + 1}`));
    const first = await follow([folder], { lastGoodPath });
    await write("bad", object("bad", "10.96.0.1", 0));
    await next(first.events);
    for (const [name, text] of [
      ["broken", "{"],
      ["emptied", ""],
    ] as const) {
      await write(name, text);
      await next(first.events);
    }
    await first.events.return?.();
    for (const name of ["well", "other"]) {
      const source = new FileSource({ inputs: [folder], watch: true, settleMs: SETTLE_MS, lastGoodPath });
      const events = eventsOf(source);
      const { topology, refused } = snapshotOf(await next(events));
      expect(topology.services.map((service) => service.name).toSorted()).toEqual(
        ["bad", "broken", "emptied", name].toSorted(),
      );
      expect(refused?.map(({ isKept }) => isKept)).toEqual([true, true, true]);
      await events.return?.();
      // Also what a second one kept and never saw itself.
      await rm(join(folder, "well.yaml"), { force: true });
      await write("other", object("other", "10.96.0.9"));
    }
    await write("bad", object("bad", "10.96.0.1"));
    await write("broken", object("broken", "10.96.0.2"));
    await write("emptied", object("emptied", "10.96.0.3"));
    const last = await follow([folder], { lastGoodPath });
    await last.events.return?.();
    await expect(readFile(lastGoodPath)).rejects.toThrow("ENOENT");
  });

  test("a file that is written all the time holds up no other", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "topology.yaml"), topologyOf("one"));
    const { events } = await follow([folder], { settleMs: 600_000, pollMs: 30 });
    await writeFile(join(folder, "broken.yaml"), "services: [");
    await replace(join(folder, "topology.yaml"), topologyOf("two"));
    expect(namesOf(await next(events))).toEqual(["two"]);
  });

  test("without any file it is a problem, not a topology without services", async () => {
    const folder = await temporaryFolder();
    const source = new FileSource({ inputs: [folder], watch: true, settleMs: SETTLE_MS });
    const events = eventsOf(source);
    expect(await next(events)).toMatchObject({ kind: "problem", problems: [{ code: "NO_FILES" }] });
    await replace(join(folder, "topology.yaml"), topologyOf("one"));
    expect(namesOf(await next(events))).toEqual(["one"]);
  });
});

describe("without following", () => {
  test("it reads once, and again when it is asked to", async () => {
    const { file, source, events } = await following("one", { watch: false });
    await replace(file, topologyOf("two"));
    const waiting = next(events);
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 100, "nothing"))])).toBe(
      "nothing",
    );
    source.refresh();
    expect(namesOf(await waiting)).toEqual(["two"]);
    source.refresh();
    expect(await nextChange(events)).toEqual([["two"], []]);
  });

  test("what was given stays as it is", async () => {
    const input = { file: "<stdin>", bytes: Buffer.from(topologyOf("one")) };
    const source = new FileSource({ inputs: [input], watch: false });
    const events = eventsOf(source);
    expect(source.name).toBe("<stdin>");
    expect(namesOf(await next(events))).toEqual(["one"]);
    source.refresh();
    expect(await nextChange(events)).toEqual([["one"], []]);
  });
});

test("settings of --config go over the topology's, and are followed", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  const config = join(folder, "config.yaml");
  const configuration = (bit: number) =>
    `{ apiVersion: kubeproxy.config.k8s.io/v1alpha1, kind: KubeProxyConfiguration, iptables: { masqueradeBit: ${bit} } }`;
  await writeFile(file, topologyOf("one"));
  await writeFile(config, configuration(3));
  const events = eventsOf(new FileSource({ inputs: [file], config, watch: true, settleMs: SETTLE_MS }));
  expect(await next(events)).toMatchObject({ topology: { node: { masqueradeBit: 3 } } });
  await replace(config, configuration(5));
  expect(await next(events)).toMatchObject({ changed: "everything", topology: { node: { masqueradeBit: 5 } } });
});

test("who starts with all of it only is told of every fault, and of nothing else", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await writeFile(file, `${topologyOf("one")}  - { name: two }\n`);
  const source = new FileSource({ inputs: [file], watch: true, settleMs: SETTLE_MS, startsWhole: true });
  const events = eventsOf(source);
  expect(await next(events)).toMatchObject({
    kind: "problem",
    problems: [{ code: "MISSING_KEY" }, { code: "MISSING_KEY" }],
  });
  await replace(file, topologyOf("one", "two"));
  expect(namesOf(await next(events))).toEqual(["one", "two"]);
});

test("every fault of every file is told, with its place", async () => {
  const folder = await temporaryFolder();
  const files = ["a.yaml", "b.yaml"].map((name) => join(folder, name));
  for (const file of files) await writeFile(file, "hosts: [}");
  const event = await next(eventsOf(new FileSource({ inputs: files, watch: false })));
  expect(event).toMatchObject({ kind: "problem", problems: files.map((file) => ({ code: "SYNTAX", at: { file } })) });
});

test("a neighbour that is written all the time neither hides a change nor costs a look", async () => {
  const { folder, file, names } = await following("one");
  await using neighbour = await open(join(folder, "log"), "w");
  let writes = 0;
  const writing = setInterval(() => void neighbour.write(`${writes++}\n`), 1);
  // Before the file is closed.
  using _stop = { [Symbol.dispose]: () => clearInterval(writing) };
  await replace(file, topologyOf("two"));
  expect(await names()).toEqual(["two"]);
});

test("a burst of changes ends in the last one", async () => {
  const { file, events } = await following("one", { pollMs: 30 });
  for (let round = 0; round <= 100; round++) await replace(file, topologyOf(`round-${round}`));
  for (;;) if (namesOf(await next(events))[0] === "round-100") return;
});

function topologyOf(...names: readonly string[]): string {
  const services = names.map(
    (name, index) => `  - { name: ${name}, clusterIP: 10.96.0.${index + 1}, ports: [{ port: 80 }], endpoints: [] }\n`,
  );
  return `hosts: [{ name: a, address: 192.0.2.1 }]\nservices:\n${services.join("")}`;
}

function namesOf(event: SourceEvent): readonly string[] {
  if (event.kind === "problem") throw new Error(event.problems[0].text);
  return event.topology.services.map(({ name }) => name);
}

async function next(events: AsyncIterator<SourceEvent>): Promise<SourceEvent> {
  const { done, value } = await events.next();
  if (done === true) throw new Error("it ended");
  return value;
}

/** Names of the services, and of those that changed. */
async function nextChange(
  events: AsyncIterator<SourceEvent>,
): Promise<readonly [readonly string[], readonly string[]]> {
  const event = await next(events);
  return [namesOf(event), [...snapshotOf(event).changed]];
}

function snapshotOf(event: SourceEvent): SourceSnapshot {
  if (event.kind === "problem") throw new Error(event.problems[0].text);
  return event;
}

function eventsOf(source: FileSource): AsyncIterator<SourceEvent> {
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  return source.follow(ending.signal);
}

/** A source that has told its first state. */
async function follow(inputs: readonly string[], options: Partial<FileSourceOptions> = {}) {
  const source = new FileSource({ inputs, watch: true, settleMs: SETTLE_MS, ...options });
  const events = eventsOf(source);
  expect((await next(events)).kind).toBe("snapshot");
  return { source, events, names: async () => namesOf(await next(events)) };
}

async function following(name: string, options: Partial<FileSourceOptions> = {}) {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await replace(file, topologyOf(name));
  return { folder, file, ...(await follow([file], options)) };
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

async function makeHuge(path: string): Promise<void> {
  await writeFile(path, "");
  await truncate(path, MAX_FILE_BYTES + 1);
}

async function listenOn(path: string): Promise<void> {
  const server = createServer().listen(path);
  onTestFinished(() => void server.close());
  await once(server, "listening");
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-source-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
