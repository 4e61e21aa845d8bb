import { globSync, readFileSync } from "node:fs";
import { dirname, posix, relative, resolve, sep } from "node:path";

/** For each package, what it may import. Arrows point left: an entry names only packages to its left. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  topology: [],
  rules: ["topology"],
  host: ["topology", "rules"],
  iptables: ["topology", "rules", "host"],
  nftables: ["topology", "rules", "host"],
  userspace: ["topology", "rules", "host"],
  doctor: ["topology", "rules", "host"],
  agent: ["topology", "rules", "host", "doctor", "iptables", "nftables", "userspace"],
  lab: ["topology", "host"],
  page: ["topology", "rules"],
  cli: ["topology", "rules", "host", "iptables", "nftables", "userspace", "doctor", "agent", "page", "lab"],
  e2e: ["topology", "rules", "host", "iptables", "nftables", "userspace", "agent", "lab", "cli"],
};

/** Pure packages: text in, values out. */
const PURE = new Set(["topology", "rules"]);

/** What most commands use: an import() of one of these would put all of it into every command's chunk of the bundle. */
const SHARED = new Set(["topology", "rules", "host", "iptables"]);

/** What the product consists of; tests, benchmarks and build steps may stand on the lab and on what is to their right. */
const PRODUCT = /^(packages\/\w+|e2e)\/src\/(?!(.*\/)?testing\/)(?!.*\.test\.tsx?$)/;

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^"';]*?from\s*["']([^"']+)["']|import\s*\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s+["']([^"']+)["']/g;

export interface WrongArrow {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/**
 * Every import in the workspace that points to the right, into another package's inside, or out of a pure package; and
 * every circle of files, imports of types and import() included: who reads one file of a circle must read them all.
 */
export function findWrongArrows(root: string): readonly WrongArrow[] {
  const files = globSync(["packages/*/**/*.{ts,tsx}", "e2e/**/*.ts"], {
    cwd: root,
    exclude: (name) => name === "node_modules" || name === "dist",
  }).map((file) => file.split(sep).join("/"));
  return [...files.flatMap((file) => wrongArrowsOf(root, file)), ...findCircles(root, files)];
}

function findCircles(root: string, files: readonly string[]): readonly WrongArrow[] {
  const known = new Set(files);
  const imports = new Map(
    files.map((file) => {
      const names = [...readFileSync(resolve(root, file), "utf8").matchAll(IMPORT)].map(
        ([, from, called, bare]) => from ?? called ?? bare ?? "",
      );
      const targets = names.filter((name) => name.startsWith(".")).map((name) => posix.join(posix.dirname(file), name));
      return [file, targets.filter((target) => known.has(target))];
    }),
  );
  return circlesOf(imports)
    .map((circle) => circle.toSorted())
    .map(([file = "", ...others]) => ({
      file,
      line: 1,
      message: `imports itself by way of ${others.join(", ")}: move what they share into a file of its own`,
    }));
}

/** The groups of files of which each leads to each other. @see Tarjan, Depth-first search and linear graph algorithms */
function circlesOf(imports: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const indexes = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const circles: (readonly string[])[] = [];
  const low = (file: string) => lowest.get(file) ?? Number.POSITIVE_INFINITY;
  const visit = (file: string): void => {
    indexes.set(file, indexes.size);
    lowest.set(file, indexes.size - 1);
    stack.push(file);
    for (const target of imports.get(file) ?? []) {
      if (!indexes.has(target)) visit(target);
      if (stack.includes(target)) lowest.set(file, Math.min(low(file), low(target)));
    }
    if (low(file) !== indexes.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of imports.keys()) if (!indexes.has(file)) visit(file);
  return circles;
}

function wrongArrowsOf(root: string, file: string): readonly WrongArrow[] {
  const text = readFileSync(resolve(root, file), "utf8");
  const self = packageOf(file);
  const inProduct = PRODUCT.test(file);
  const wrong: WrongArrow[] = [];
  for (const match of text.matchAll(IMPORT)) {
    const name = match[1] ?? match[2] ?? match[3] ?? "";
    const line = text.slice(0, match.index).split("\n").length + (match[0].startsWith("\n") ? 1 : 0);
    const say = (message: string) => wrong.push({ file, line, message });
    if (name.startsWith(".")) {
      const target = packageOf(relative(root, resolve(root, dirname(file), name)));
      if (target !== self && inProduct) say(`${name} reaches into ${target}; import @svcproxy/${target}`);
    } else if (name.startsWith("@svcproxy/")) {
      // What a package lends to others' tests stands apart, so that no product loads the test runner.
      const isForTests = name.endsWith("/testing");
      const target = name.slice("@svcproxy/".length, isForTests ? -"/testing".length : undefined);
      if (match[2] !== undefined && self === "cli" && inProduct && SHARED.has(target)) {
        say(`import ${name} in a file of this package and that one by import(): the bundle is split there`);
      } else if (target.includes("/")) say(`${name}: import a package by its name, never by a path into it`);
      else if (isForTests && inProduct) say(`${name} is for tests`);
      else if (inProduct && target !== self && !ALLOWED[self]?.includes(target))
        say(`${self} may not import ${target}: the arrow points to the right`);
      else if (target === "e2e") say("nothing imports e2e");
    } else if (name.startsWith("node:") && inProduct && PURE.has(self)) {
      say(`${self} is pure and may not import ${name}`);
    }
  }
  return wrong;
}

function packageOf(file: string): string {
  const parts = file.split(/[\\/]/);
  return (parts[0] === "packages" ? parts[1] : parts[0]) ?? "";
}
