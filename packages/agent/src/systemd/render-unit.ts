export interface UnitOptions {
  /** Program and arguments that run the proxy; the first is an absolute path. */
  readonly command: readonly string[];
  /** Program and arguments that have a running proxy start its successor. */
  readonly reloadCommand: readonly string[];
  /** Program and arguments that take away what a killed proxy left. */
  readonly cleanupCommand: readonly string[];
  /** How long stopping may take: the drain and what follows. */
  readonly stopTimeoutSeconds: number;
}

/** What the unit file in this package runs; `svcproxy userspace … --print-unit` fills in the caller's own. */
export const DEFAULT_UNIT_OPTIONS: UnitOptions = {
  command: ["/usr/bin/svcproxy", "userspace", "/etc/svcproxy/topology.yaml", "--watch", "--metrics", "127.0.0.1:9464"],
  reloadCommand: ["/usr/bin/svcproxy", "userspace", "reload"],
  cleanupCommand: ["/usr/bin/svcproxy", "userspace", "cleanup"],
  stopTimeoutSeconds: 40,
};

/**
 * The systemd unit: an ordinary user that systemd makes for it, two capabilities and nothing else.
 * @see systemd.exec(5), systemd.service(5)
 */
export function renderUnit({ command, reloadCommand, cleanupCommand, stopTimeoutSeconds }: UnitOptions): string {
  return `[Unit]
Description=Service virtual IPs in userspace
Documentation=man:ip-address(8)
Wants=network-online.target
After=network-online.target

[Service]
# READY and WATCHDOG come from systemd-notify, which is a child of the proxy: hence NotifyAccess=all.
Type=notify
NotifyAccess=all
WatchdogSec=30
ExecStart=${command.map(quoteArgument).join(" ")}
# The running proxy starts a successor with the same flags, which takes its listeners over; connections that are open live on in the old one.
ExecReload=${reloadCommand.map(quoteArgument).join(" ")}
# Takes away VIPs that a killed proxy left; does nothing after an orderly end.
ExecStopPost=-${cleanupCommand.map(quoteArgument).join(" ")}
KillMode=mixed
TimeoutStopSec=${stopTimeoutSeconds}
Restart=on-failure
# 2 is a mistake on the command line or in the topology: trying again does not mend it.
RestartPreventExitStatus=2

DynamicUser=yes
RuntimeDirectory=svcproxy/userspace
# CAP_NET_ADMIN makes VIPs local, CAP_NET_BIND_SERVICE listens below port 1024. Without the first, see --vip-device.
AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
# Two descriptors a connection.
LimitNOFILE=1048576
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
ProtectHostname=yes
# Other users' processes; a program that holds a port is still named where it is this user's.
ProtectProc=invisible
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Beyond what 10,000 services with 100,000 connections need.
MemoryMax=4G
# Left out on purpose: ProtectKernelTunables (an IPv6 --vip-range sets a sysctl) and MemoryDenyWriteExecute (V8 compiles).

[Install]
WantedBy=multi-user.target
`;
}

/** One argument of ExecStart: `%` and `$` are not expanded, blanks do not split. @see systemd.service(5), "Command lines" */
function quoteArgument(argument: string): string {
  const escaped = argument
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n")
    .replaceAll("%", "%%")
    .replaceAll("$", "$$$$");
  return /^[\w@+:,./=%$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
