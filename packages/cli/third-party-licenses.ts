import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The licences of the packages whose code is in a bundle, as one text.
 *
 * @param modules the ids of the modules that are in it; those of the bundler itself begin with \\0
 * @throws Error for a package without the text of its licence: what must be said could not be
 */
export function thirdPartyLicenses(modules: Iterable<string>): string {
  const folders = new Set(
    [...modules].filter((id) => !id.startsWith("\0") && id.includes("/node_modules/")).map(packageFolder),
  );
  const notices = [...folders].map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)(\.(md|txt))?$/i.test(entry));
    if (file === undefined) throw new Error(`${name} ${version} (${license}) has no text of its licence in ${folder}`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `svcproxy contains code of these packages.\n\n${notices.toSorted().join(`\n${"-".repeat(80)}\n\n`)}`;
}

/** The folder of the package that a file is of: the nearest one with a manifest that has a name and a version. */
function packageFolder(file: string): string {
  for (let folder = dirname(file); folder.includes("/node_modules/"); folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (!existsSync(manifest)) continue;
    const { name, version } = JSON.parse(readFileSync(manifest, "utf8"));
    // A part of a package may have a manifest with a name alone.
    if (typeof name === "string" && typeof version === "string") return folder;
  }
  throw new Error(`${file} is of no package`);
}
