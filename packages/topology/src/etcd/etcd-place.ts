import { inputError } from "../errors.ts";
import { checkShape, type JsonSchema } from "../file/check-shape.ts";
import { FaultReport } from "../text/fault-report.ts";
import { finishReading } from "../text/finish-reading.ts";
import { loadInput } from "../text/load-documents.ts";
import type { InputFile } from "../text/source-document.ts";

/** Where etcd is and who we are to it, as a URL or a settings file says it: each says what it wants to. */
export interface EtcdPlace {
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
  /** Without a slash at its end. */
  readonly prefix?: string;
  readonly isTls: boolean;
  /** Paths of PEM files. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly user?: string;
  readonly password?: string;
  /** A file whose first line is the password. */
  readonly passwordFile?: string;
  readonly flannelPrefix?: string;
}

const PORT = 2379;
const HINT = "Write it like etcd://10.0.0.1:2379,10.0.0.2:2379/svcproxy";
const PATHS = ["ca", "cert", "key", "passwordFile", "flannelPrefix"] as const;

/**
 * `etcd://[USER[:PASSWORD]@]HOST[:PORT][,…][/PREFIX][?ca=FILE&cert=FILE&key=FILE]`, etcds:// for TLS. Without hosts those of the settings
 * file are meant.
 *
 * @throws InputError BAD_ETCD_URL, which does not repeat what may be a password
 */
export function parseEtcdUrl(url: string): EtcdPlace {
  const parts = /^etcd(s?):\/\/(?:(.*)@)?([^/?#@]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
  if (parts === null) throw inputError("BAD_ETCD_URL", "Cannot read the URL of etcd", { hint: HINT });
  const [, secure, login, hosts = "", path = "", query = ""] = parts;
  const options = new URLSearchParams(query);
  for (const name of options.keys()) {
    if (!PATHS.some((known) => known === name)) {
      const message = `Cannot read the URL of etcd: unknown option ${JSON.stringify(name)}`;
      throw inputError("BAD_ETCD_URL", message, { hint: `It can have ${PATHS.join(", ")}` });
    }
  }
  const paths = Object.fromEntries(PATHS.flatMap((name) => (options.has(name) ? [[name, options.get(name)]] : [])));
  const prefix = trimPrefix(path);
  return {
    endpoints: hosts === "" ? [] : hosts.split(",").map((text) => endpointOf(text)),
    ...(prefix === "" ? {} : { prefix }),
    isTls: secure === "s" || options.has("ca") || options.has("cert"),
    ...paths,
    ...(login === undefined ? {} : loginOf(login)),
  };
}

function loginOf(login: string): Pick<EtcdPlace, "user" | "password"> {
  const [user = "", ...password] = login.split(":");
  try {
    const decoded = decodeURIComponent(password.join(":"));
    return { user: decodeURIComponent(user), ...(password.length === 0 ? {} : { password: decoded }) };
  } catch {
    throw inputError("BAD_ETCD_URL", "Cannot read user and password in the URL of etcd: a % stands for nothing", {
      hint: "Write %25 for a percent sign, %40 for @, %2F for /",
    });
  }
}

/** @throws InputError BAD_ETCD_URL */
function endpointOf(text: string): { readonly host: string; readonly port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(
    text.replace(/^https?:\/\//, "").replace(/\/$/, ""),
  );
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3] ?? PORT);
  if (host === undefined || port < 1 || port > 65_535)
    throw inputError("BAD_ETCD_URL", `Cannot read ${JSON.stringify(text)} as an endpoint of etcd`, { hint: HINT });
  return { host, port };
}

function trimPrefix(path: string): string {
  return path.replace(/\/+$/, "");
}

const TEXT: JsonSchema = { type: "string", minLength: 1 };
const SHAPE: JsonSchema = {
  type: "object",
  properties: {
    endpoints: { type: "array", items: TEXT },
    prefix: TEXT,
    tls: { type: "boolean" },
    ca: TEXT,
    cert: TEXT,
    key: TEXT,
    user: TEXT,
    password: TEXT,
    passwordFile: TEXT,
    flannelPrefix: TEXT,
  },
  required: ["endpoints"],
};

/** What is left once the shape was checked. */
interface RawSettings extends Partial<Pick<EtcdPlace, "ca" | "cert" | "key" | "user" | "password" | "passwordFile">> {
  readonly endpoints?: readonly string[];
  readonly prefix?: string;
  readonly tls?: boolean;
  readonly flannelPrefix?: string;
}

/**
 * The settings file, /etc/svcproxy/etcd.yaml.
 *
 * @throws InputError with every fault and its place
 */
export function parseEtcdSettings(file: InputFile): EtcdPlace {
  const { documents, faults } = loadInput([file]);
  const [document] = documents;
  const report = new FaultReport();
  // The cast is what checkShape promises of SHAPE.
  const raw = (document === undefined ? {} : (checkShape(SHAPE, { document, report }) ?? {})) as RawSettings;
  finishReading(report, faults);
  const { endpoints = [], tls = false, prefix, ...rest } = raw;
  if (endpoints.length === 0) {
    throw inputError("BAD_ETCD_SETTINGS", `${file.file} lists no endpoint of etcd`, {
      hint: "Write endpoints: [10.0.0.1:2379]",
    });
  }
  const isSecure = tls || rest.ca !== undefined || rest.cert !== undefined;
  return {
    ...rest,
    endpoints: endpoints.map(endpointOf),
    ...(prefix === undefined ? {} : { prefix: trimPrefix(prefix) }),
    isTls: isSecure || endpoints.some((endpoint) => endpoint.startsWith("https://")),
  };
}
