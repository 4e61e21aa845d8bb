import { globSync, readFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";

/** For each package, what it may import. Arrows point left: an entry names only packages to its left. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  topology: [],
  rules: ["topology"],
  host: ["topology", "rules"],
  iptables: ["topology", "rules", "host"],
  nftables: ["topology", "rules", "host"],
  userspace: ["topology", "rules", "host"],
  agent: ["topology", "rules", "host", "iptables", "nftables", "userspace"],
  lab: ["topology", "host"],
  cli: ["topology", "rules", "host", "iptables", "nftables", "userspace", "agent", "lab"],
  e2e: ["topology", "rules", "host", "iptables", "nftables", "userspace", "agent", "lab", "cli"],
};

/** Pure packages: text in, values out. */
const PURE = new Set(["topology", "rules"]);

/** What most commands use: an import() of one of these would put all of it into every command's chunk of the bundle. */
const SHARED = new Set(["topology", "rules", "host", "iptables"]);

/** What the product consists of; tests, benchmarks and build steps may stand on the lab and on what is to their right. */
const PRODUCT = /^(packages\/\w+|e2e)\/src\/(?!(.*\/)?(testing|flows)\/)(?!.*\.test\.ts$)/;

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^"';]*?from\s*["']([^"']+)["']|import\s*\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s+["']([^"']+)["']/g;

export interface WrongArrow {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Every import in the workspace that points to the right, into another package's inside, or out of a pure package. */
export function findWrongArrows(root: string): readonly WrongArrow[] {
  const files = globSync(["packages/*/**/*.ts", "e2e/**/*.ts"], {
    cwd: root,
    exclude: (name) => name === "node_modules" || name === "dist",
  });
  return files.flatMap((file) => wrongArrowsOf(root, file.split(sep).join("/")));
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
      const target = name.slice("@svcproxy/".length);
      if (match[2] !== undefined && self === "cli" && inProduct && SHARED.has(target)) {
        say(`import ${name} in a file of this package and that one by import(): the bundle is split there`);
      } else if (target.includes("/")) say(`${name}: import a package by its name, never by a path into it`);
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
