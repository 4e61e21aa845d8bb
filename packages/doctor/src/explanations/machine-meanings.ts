import type { Meaning } from "./explanation.ts";

/** Of what keeps a machine from doing what was asked. */
export const MACHINE_MEANINGS = {
  INTERRUPTED: {
    means: "Somebody interrupted it.",
    remedy: "Run it again.",
  },
  NEEDS_ROOT: {
    means: "This user may not do it.",
    remedy: "Run it with sudo.",
  },
  STDOUT_UNWRITABLE: {
    means: "The output could not be written.",
    remedy: "Look whether the disk is full.",
  },
  FILE_UNWRITABLE: {
    means: "A file could not be written.",
    remedy: "The text says why.",
  },
  CANNOT_SERVE_PAGE: {
    means: "The page cannot be served on that port.",
    remedy: "Leave --port out: then a free one is taken.",
  },
  OUT_OF_DESCRIPTORS: {
    means: "The process or the machine has no file descriptor left.",
    remedy: "Raise the limit: ulimit -n, or LimitNOFILE= in the unit.",
  },
  ADDRESSES_UNREADABLE: {
    means: "The addresses of this machine could not be read.",
    remedy: "The text says why.",
  },
  MISSING_TOOL: {
    means: "A program is missing that is needed here.",
    remedy: "The hint has the package to install.",
  },
  TOOL_FAILED: {
    means: "A program that was started failed or did not end.",
    remedy: "The text has what it said.",
  },
  IP_FAILED: {
    means: "ip could not tell or change something of this host.",
    remedy: "The text has what it said.",
  },
  CONNTRACK_FAILED: {
    means: "conntrack could not tell of connections, or delete them.",
    remedy: "Run it as root; the text has what it said.",
  },
  VARIANT_MISSING: {
    means: "The variant of iptables that was named is not here.",
    remedy: "The hint lists those that are.",
  },
  LOCK_FILE_READ_ONLY: {
    means: "iptables cannot write its lock file: the file system is read-only.",
    remedy: "Mount a writable /run, or set XTABLES_LOCKFILE.",
  },
  LOCK_FILE_UNWRITABLE: {
    means: "iptables may not open its lock file.",
    remedy: "Run it as root, or set XTABLES_LOCKFILE.",
  },
  XTABLES_LOCKED: {
    means: "Another program held the lock of iptables all the time.",
    remedy: "fuser /run/xtables.lock tells who; then try again.",
  },
  NO_TABLE: {
    means: "The kernel does not have a table of iptables.",
    remedy: "Load its module, or try the other --variant.",
  },
  TABLE_INCOMPATIBLE: {
    means: "A table holds nftables rules that iptables cannot handle.",
    remedy: "Move these rules into a table of their own.",
  },
  RESTORE_REFUSED: {
    means: "The kernel or its tools refused rules of a service.",
    remedy: "The text has what they said; the service stays as it was.",
  },
  FOREIGN_CHAINS: {
    means: "Chains of the names that we use were made by somebody else, and differ.",
    remedy: "Stop that program, or pass --adopt.",
  },
  CHAINS_HELD: {
    means: "Rules of others jump to chains of ours that are to go.",
    remedy: "Delete those rules first.",
  },
  RULES_KEEP_CHANGING: {
    means: "Another program changes our table each time it is made.",
    remedy: "nft monitor tells who; stop it, then try again.",
  },
  NFT_REFUSED: {
    means: "nft refused what it was to do.",
    remedy: "The text has what it said.",
  },
  NFT_CRASHED: {
    means: "nft crashed on sets that another version wrote.",
    remedy: "Use the host's own nft: SVCPROXY_HOST_ROOT=/host in a container.",
  },
  NFT_UNSUPPORTED: {
    means: "nft or the kernel lacks what our table needs.",
    remedy: "Install a newer nft, or use svcproxy iptables.",
  },
  NOT_TRACEABLE: {
    means: "The kernel tells nothing of the way of packets through these rules.",
    remedy: "svcproxy trace --live predicts it.",
  },
  SAVE_FAILED: {
    means: "The rules could not be read.",
    remedy: "Run it as root; the text has what the tool said.",
  },
  SAVE_UNREADABLE: {
    means: "What a tool printed of the rules cannot be understood.",
    remedy: "Report it, with the text.",
  },
  ETCD_UNREACHABLE: {
    means: "etcd does not answer.",
    remedy: "Look whether it runs, and whether the way to it is open.",
  },
  ETCD_REFUSED: {
    means: "etcd refused it: a wrong user, password or right.",
    remedy: "Correct /etc/svcproxy/etcd.yaml, or give the user the rights that README lists.",
  },
  ETCD_FAILED: {
    means: "etcd answered with a fault.",
    remedy: "The text has what it said.",
  },
  ETCD_CONFLICT: {
    means: "Somebody else wrote at the same time; nothing was changed.",
    remedy: "Run it again.",
  },
  REGISTERED_ELSEWHERE: {
    means: "The endpoint is registered from another place already.",
    remedy: "End that registration first.",
  },
  LOCKED: {
    means: "Another svcproxy is at work here.",
    remedy: "Wait until it is done, or end it.",
  },
  ALREADY_RUNNING: {
    means: "Another svcproxy run keeps this network namespace.",
    remedy: "Stop it first, or pass --take-over.",
  },
  KUBE_PROXY_FOUND: {
    means: "A kube-proxy, or its rules, serve this host.",
    remedy: "--replace kube-proxy takes its place; else take its rules away.",
  },
  LEFT_OVER: {
    means: "Tables of an svcproxy run that has ended are still here, and nobody keeps them true.",
    remedy: "Start svcproxy run again, or svcproxy cleanup.",
  },
  NOT_RUNNING: {
    means: "No svcproxy run answers here.",
    remedy: "Start it, or ask as its user in its network namespace.",
  },
  OTHER_VERSION: {
    means: "The program that answers is of another version.",
    remedy: "Use the same version, or restart the agent.",
  },
  NOTHING_HELD: {
    means: "There is nothing to confirm.",
    remedy: "svcproxy status shows how the agent stands.",
  },
  AGENT_SOCKET: {
    means: "The agent cannot be reached by its socket, or cannot make it.",
    remedy: "Set RUNTIME_DIRECTORY to a folder that only this user can write to.",
  },
  NO_SUCH_GROUP: {
    means: "There is no such group.",
    remedy: "groupadd --system NAME.",
  },
  NO_DATA_PATH: {
    means: "This host can do none of the data paths.",
    remedy: "Run it as root, with nft or iptables installed.",
  },
  TAKE_OVER_FAILED: {
    means: "The successor could not take over.",
    remedy: "Its log says why; the old one goes on.",
  },
  RUNTIME_DIRECTORY: {
    means: "The folder for sockets and locks cannot be used.",
    remedy: "Set RUNTIME_DIRECTORY to another.",
  },
  API_UNREACHABLE: {
    means: "The API server does not answer.",
    remedy: "Look whether it runs, and whether the way to it is open.",
  },
  API_REFUSED: {
    means: "The API server refused it: wrong credentials or missing rights.",
    remedy: "The text has what it said; deploy/kubernetes has the rights that are needed.",
  },
  API_FAILED: {
    means: "The API server answered with a fault.",
    remedy: "The text has what it said.",
  },
  CREDENTIALS_UNREADABLE: {
    means: "A file of credentials cannot be read.",
    remedy: "The text says why.",
  },
  EXEC_PLUGIN: {
    means: "The credential plug-in of the kubeconfig failed.",
    remedy: "Run its command by hand.",
  },
  NO_SUCH_NODE: {
    means: "The cluster has no node of this name.",
    remedy: "Name it as the cluster does: --hostname-override.",
  },
  NODE_INCOMPLETE: {
    means: "The node has no address or no podCIDR yet, or none any more.",
    remedy: "Wait until the kubelet or the controller manager has given them; what the node had before stays in force.",
  },
  UNSUPPORTED_NODE: {
    means: "This version of Node.js lacks what the proxy needs.",
    remedy: "Use the one that svcproxy was released with.",
  },
  VIPS_NOT_ISOLATED: {
    means: "VIPs cannot be kept from leading to programs of this host, and that was asked for.",
    remedy: "Give it the rights, or leave --vip-isolation out.",
  },
  TOO_FEW_OPEN_FILES: {
    means: "The limit of open files leaves none for connections.",
    remedy: "ulimit -n 65536, or LimitNOFILE= in the unit.",
  },
  FRONTENDS_NOT_SERVED: {
    means: "Not all could be served, and that was asked for.",
    remedy: "The text says which and why; without --require-all the others are.",
  },
  LAB_FAILED: {
    means: "The lab could not be built.",
    remedy: "The text says why.",
  },
  NO_SUCH_LAB: {
    means: "No such lab is up.",
    remedy: "svcproxy lab up.",
  },
  LAB_STATE_UNSAFE: {
    means: "Others could write to the folder of the lab's state.",
    remedy: "Remove it, or set XDG_RUNTIME_DIR.",
  },
  LAB_ADDRESS_TAKEN: {
    means: "A pod of the topology has an address that the lab needs for its host.",
    remedy: "Give the pod a later one.",
  },
  LAB_NO_OVERLAY: {
    means: "The hosts have no family of addresses in common by which pods could be joined.",
    remedy: "Give each host an address of that family.",
  },
  LAB_NO_SPARE_ADDRESS: {
    means: "The topology leaves no address for the lab's client.",
    remedy: "Leave one of the blocks in the hint unused.",
  },
  LAB_NO_NAMESPACES: {
    means: "This user may not make network namespaces.",
    remedy: "The hint has the setting that allows it; or use sudo.",
  },
  LAB_NO_HOSTS: {
    means: "The topology lists no host.",
    remedy: "List some under hosts:.",
  },
  LAB_GONE: {
    means: "The lab has ended.",
    remedy: "svcproxy lab up.",
  },
  LAB_EXISTS: {
    means: "A lab of that name is up already.",
    remedy: "svcproxy lab down, or give another --name.",
  },
  LAB_DATA_PATH: {
    means: "The rules or the proxy could not be started in the lab.",
    remedy: "The text says why.",
  },
  LAB_COMMAND_FAILED: {
    means: "A command in the lab did not start.",
    remedy: "The text says why.",
  },
} as const satisfies Readonly<Record<string, Meaning>>;
