import { readFileSync } from "node:fs";
import { type EtcdPlace, type InputFile, inputError, parseEtcdSettings, parseEtcdUrl } from "@svcproxy/topology";

/** One member of an etcd cluster, by its client address. */
export interface EtcdEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Where etcd is, who we are to it, and which part of it is ours. */
export interface EtcdSettings {
  readonly endpoints: readonly [EtcdEndpoint, ...EtcdEndpoint[]];
  /** Without a slash at its end: `/svcproxy`. */
  readonly prefix: string;
  /** Absent: plain HTTP. */
  readonly tls?: EtcdTls;
  readonly user?: { readonly name: string; readonly password: string };
  /** Where flannel keeps its network, for instance `/coreos.com/network`; absent: its hosts are not read. */
  readonly flannelPrefix?: string;
}

/** PEM texts. */
export interface EtcdTls {
  /** Absent: the authorities that Node trusts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** `etcd://a:2379,b:2379/svcproxy`, without credentials: for people and logs. */
export function nameEtcd({ endpoints, prefix, tls }: EtcdSettings): string {
  return `${tls === undefined ? "etcd" : "etcds"}://${endpoints.map(formatEndpoint).join(",")}${prefix}`;
}

/** `host:port`, or `[ip]:port` for IPv6. */
export function formatEndpoint({ host, port }: EtcdEndpoint): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Where settings are read that the command line does not give. */
const ETCD_SETTINGS_FILE = "/etc/svcproxy/etcd.yaml";

const DEFAULT_PREFIX = "/svcproxy";

export interface EtcdFlags {
  /** etcd://…; absent: what the settings file says. */
  readonly url?: string;
  /** A settings file in place of /etc/svcproxy/etcd.yaml, which need not be there. */
  readonly settingsFile?: string;
  readonly flannelPrefix?: string;
}

/**
 * Joins what a URL says with the settings file. The file's user, password and certificates go only to endpoints that it lists, unless it was
 * named on purpose.
 *
 * @throws InputError where neither names an endpoint, or a file cannot be read
 */
export function readEtcdSettings({ url, settingsFile, flannelPrefix }: EtcdFlags): EtcdSettings {
  const given = url === undefined ? undefined : parseEtcdUrl(url);
  const file = settingsFile === undefined ? readOptional(ETCD_SETTINGS_FILE, given) : readGiven(settingsFile);
  const settings = file === undefined ? undefined : parseEtcdSettings(file);
  const isTrusted = settingsFile !== undefined || given === undefined || isCovered(given, settings);
  const place: EtcdPlace = {
    ...(isTrusted ? settings : undefined),
    ...given,
    endpoints: given === undefined || given.endpoints.length === 0 ? (settings?.endpoints ?? []) : given.endpoints,
    isTls: (given?.isTls ?? false) || (isTrusted && settings?.isTls === true),
  };
  const [first, ...others] = place.endpoints;
  if (first === undefined) {
    throw inputError("BAD_ETCD_URL", `Nothing says where etcd is: there is no ${ETCD_SETTINGS_FILE}`, {
      hint: "Give --etcd etcd://HOST:2379/svcproxy",
    });
  }
  const flannel = flannelPrefix ?? place.flannelPrefix;
  return {
    endpoints: [first, ...others],
    prefix: place.prefix ?? DEFAULT_PREFIX,
    ...(place.isTls ? { tls: tlsOf(place) } : {}),
    ...userOf(place),
    ...(flannel === undefined ? {} : { flannelPrefix: flannel.replace(/\/+$/, "") }),
  };
}

function isCovered({ endpoints }: EtcdPlace, settings: EtcdPlace | undefined): boolean {
  const known = new Set(settings?.endpoints.map(formatEndpoint));
  return endpoints.every((endpoint) => known.has(formatEndpoint(endpoint)));
}

function tlsOf({ ca, cert, key }: EtcdPlace): EtcdTls {
  if ((cert === undefined) !== (key === undefined)) {
    throw inputError("BAD_ETCD_SETTINGS", "A certificate for etcd needs its key, and a key its certificate", {
      hint: "Give both `cert` and `key`",
    });
  }
  return {
    ...(ca === undefined ? {} : { ca: textOf(readGiven(ca)) }),
    ...(cert === undefined ? {} : { cert: textOf(readGiven(cert)) }),
    ...(key === undefined ? {} : { key: textOf(readGiven(key)) }),
  };
}

function userOf({ user, password, passwordFile }: EtcdPlace): Pick<EtcdSettings, "user"> {
  if (user === undefined) return {};
  if (password !== undefined) return { user: { name: user, password } };
  if (passwordFile !== undefined) {
    const [line = ""] = textOf(readGiven(passwordFile)).split("\n");
    return { user: { name: user, password: line } };
  }
  throw inputError("BAD_ETCD_SETTINGS", `There is no password for etcd's user ${JSON.stringify(user)}`, {
    hint: `Give passwordFile in ${ETCD_SETTINGS_FILE}`,
  });
}

function textOf({ bytes }: InputFile): string {
  return Buffer.from(bytes).toString("utf8");
}

/** @param given what the URL says: who may not read the file may still say all there */
function readOptional(path: string, given: EtcdPlace | undefined): InputFile | undefined {
  try {
    return { file: path, bytes: readFileSync(path) };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const isSaid = given !== undefined && given.endpoints.length > 0;
    if (code === "ENOENT" || code === "ENOTDIR" || (code === "EACCES" && isSaid)) return undefined;
    return readGiven(path);
  }
}

/** @throws InputError FILE_UNREADABLE */
function readGiven(path: string): InputFile {
  try {
    return { file: path, bytes: readFileSync(path) };
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/, open .*/, "") : String(error);
    throw inputError("FILE_UNREADABLE", `Cannot read ${JSON.stringify(path)}: ${reason}`, { cause: error });
  }
}
