import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ALONE, type HostProgram, ProxyHost, until } from "../src/testing/proxy-host.ts";

const NODE_ADDRESS = "192.168.77.1";

function programOf(name: string): string {
  const path = process.env[name];
  if (path === undefined || path === "") throw new Error(`${name} is not set`);
  return path;
}

/** etcd, an API server and a node's network, in a network namespace of their own. */
export class RealCluster implements AsyncDisposable {
  readonly host: ProxyHost;
  #etcd: HostProgram | undefined;
  #server: HostProgram | undefined;

  private constructor(host: ProxyHost) {
    this.host = host;
  }

  static async start(): Promise<RealCluster> {
    const cluster = new RealCluster(await ProxyHost.create());
    await cluster.host.shell(`
      ip link add eth0 type bridge && ip address add ${NODE_ADDRESS}/24 dev eth0 && ip link set eth0 up
      ip link add cni0 type bridge && ip link set cni0 up
      for i in 2 3 4 5; do ip address add 10.5.75.$i/32 dev cni0; ip -6 address add fd00:5::$i/128 dev cni0 nodad; done
      ip -6 address add fd00:77::1/64 dev eth0 nodad && ip -6 route add default dev eth0
      ip route add default via 192.168.77.254 && sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`);
    makeCertificates(cluster.host.folder);
    cluster.startEtcd();
    await cluster.startServer();
    return cluster;
  }

  /** The kubeconfig of a user: `admin`, or `proxy`, who may do what kube-proxy may. */
  kubeconfig(user: "admin" | "proxy"): string {
    return join(this.host.folder, `${user}.kubeconfig`);
  }

  startEtcd(): void {
    const url = "http://127.0.0.1:2379";
    this.#etcd = this.host.start([
      ...[programOf("ETCD"), "--data-dir", join(this.host.folder, "etcd"), "--unsafe-no-fsync"],
      ...["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:2380"],
    ]);
  }

  async startServer(): Promise<void> {
    const file = (name: string) => join(this.host.folder, name);
    this.#server = this.host.start([
      ...[programOf("KUBE_APISERVER"), "--etcd-servers=http://127.0.0.1:2379", "--bind-address=127.0.0.1"],
      ...[
        "--secure-port=6443",
        `--advertise-address=${NODE_ADDRESS}`,
        "--authorization-mode=RBAC",
        "--allow-privileged",
      ],
      ...["--service-cluster-ip-range=10.96.0.0/12,fd00:9::/112", "--etcd-compaction-interval=10s"],
      ...[`--tls-cert-file=${file("server.crt")}`, `--tls-private-key-file=${file("server.key")}`],
      ...[`--client-ca-file=${file("ca.crt")}`, "--service-account-issuer=https://kubernetes.default.svc"],
      ...[`--service-account-key-file=${file("sa.pub")}`, `--service-account-signing-key-file=${file("sa.key")}`],
    ]);
    await until(
      async () => (await this.kubectl(["get", "--raw", "/readyz"]).catch(() => "")) === "ok",
      () => `the API server is not ready:\n${this.#server?.stderr.slice(-2000)}`,
    );
  }

  /** On SIGTERM the server would hang once its etcd is gone. */
  async killServer(): Promise<void> {
    await this.#server?.kill("SIGKILL");
  }

  async killEtcd(): Promise<void> {
    await this.#etcd?.kill("SIGKILL");
  }

  /** @returns what it prints @throws where it fails */
  async kubectl(args: readonly string[]): Promise<string> {
    const program = process.env["KUBECTL"] ?? "kubectl";
    return (await this.host.namespace.run(program, ["--kubeconfig", this.kubeconfig("admin"), ...args])).stdout;
  }

  /** Applies objects, given as values. */
  async apply(objects: readonly object[]): Promise<void> {
    const path = join(this.host.folder, "objects.json");
    writeFileSync(path, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    await this.kubectl(["apply", "-f", path]);
  }

  /** The node that this is, with its addresses, which no kubelet sets here. */
  async addNode(): Promise<void> {
    const podCIDRs = ["10.5.75.0/24", "fd00:5::/64"];
    await this.apply([
      { apiVersion: "v1", kind: "Node", metadata: { name: "node1" }, spec: { podCIDR: podCIDRs[0], podCIDRs } },
    ]);
    const addresses = [NODE_ADDRESS, "fd00:77::1"].map((address) => ({ type: "InternalIP", address }));
    await this.kubectl([
      "patch",
      "node",
      "node1",
      "--subresource=status",
      "-p",
      JSON.stringify({ status: { addresses } }),
    ]);
  }

  /** @param options.seesOthers whether it may find other namespaces of this machine; their pods may have the same addresses */
  svcproxy(args: readonly string[], { seesOthers = true } = {}): HostProgram {
    return this.host.svcproxy(args, [
      ...["env", "-u", "KUBECONFIG", `RUNTIME_DIRECTORY=${join(this.host.folder, "run")}`],
      ...(seesOthers ? [] : ALONE),
    ]);
  }

  runAgent(flags: readonly string[] = []): HostProgram {
    const node = ["--kubeconfig", this.kubeconfig("proxy"), "--hostname-override", "node1"];
    return this.svcproxy(["run", "kubernetes", ...node, ...flags]);
  }

  /** A real kube-proxy of this node. */
  startKubeProxy(mode: "nftables" | "iptables"): HostProgram {
    return this.host.start([
      ...[programOf("KUBE_PROXY"), "--kubeconfig", this.kubeconfig("proxy"), "--hostname-override", "node1"],
      ...["--proxy-mode", mode, "--detect-local-mode", "NodeCIDR", "--conntrack-max-per-core", "0"],
      ...["--conntrack-tcp-timeout-established", "0", "--conntrack-tcp-timeout-close-wait", "0"],
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killServer();
    await this.host[Symbol.asyncDispose]();
  }
}

function makeCertificates(folder: string): void {
  const user = (name: string) =>
    `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "https://127.0.0.1:6443", certificate-authority: ca.crt } }]
users: [{ name: u, user: { client-certificate: ${name}.crt, client-key: ${name}.key } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`;
  for (const name of ["admin", "proxy"]) writeFileSync(join(folder, `${name}.kubeconfig`), user(name));
  const script = `
    set -e
    openssl ecparam -genkey -name prime256v1 -noout -out ca.key
    openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.crt
    leaf() {
      openssl ecparam -genkey -name prime256v1 -noout -out $1.key
      openssl req -new -key $1.key -subj "$2" -out $1.csr
      printf '%s\\n' "$3" > $1.ext
      openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $1.crt -extfile $1.ext
    }
    leaf server /CN=kube-apiserver 'subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost'
    leaf admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
    leaf proxy /CN=system:kube-proxy extendedKeyUsage=clientAuth
    openssl genrsa -out sa.key 2048
    openssl rsa -in sa.key -pubout -out sa.pub`;
  execFileSync("sh", ["-c", script], { cwd: folder, stdio: "pipe" });
}
