import { endWithUs } from "../tools/monitor-command.ts";

/** The interpreter that it is written in: Node.js has no netlink, and Debian's perl-base is on every Debian. */
export const RULE_CHANGES_TOOL = "perl";

/**
 * Passes on what netlink's group for rules says, as it is, and nothing else: unlike `nft monitor` it need not know the rules. Besides it says
 * NLMSG_NOOP (1) once it listens, and NLMSG_OVERRUN (4) where the kernel had to leave something out.
 *
 * Numbers, which are the same wherever Node.js runs, spare it modules: AF_NETLINK 16, SOCK_RAW 3, NETLINK_NETFILTER 12, NFNLGRP_NFTABLES 7;
 * SOL_SOCKET 1, SO_RCVBUFFORCE 33 and SO_RCVBUF 8, which stops at what the system allows; EINTR 4, ENOBUFS 105.
 */
const SCRIPT = `# tells svcproxy of changes to rules
use strict;
socket(my $socket, 16, 3, 12) or die "socket: $!\\n";
my $size = pack("i", $ARGV[0]);
setsockopt($socket, 1, 33, $size) or setsockopt($socket, 1, 8, $size) or die "setsockopt: $!\\n";
bind($socket, pack("SSLL", 16, 0, 0, 1 << 6)) or die "bind: $!\\n";
sub pass { for (my $at = 0; $at < length $_[0];) { $at += syswrite(STDOUT, $_[0], length($_[0]) - $at, $at) || exit } }
sub say_type { pass(pack("LSSLL", 16, $_[0], 0, 0, 0)) }
say_type(1);
while (1) {
  if (defined recv($socket, my $messages, 65536, 0)) { pass($messages) }
  elsif ($! == 105) { say_type(4) }
  elsif ($! != 4) { die "recv: $!\\n" }
}`;

/** The end of 100,000 rules at once, while we are busy. */
const BUFFER_BYTES = 64 << 20;

/**
 * The program, with arguments, whose output `RuleWords` reads. It ends with us. It needs CAP_NET_ADMIN, and says on stderr what it lacks.
 *
 * @param options.bufferBytes so much the kernel keeps for it until it is read, and somewhat more
 */
export function ruleChangesCommand({ bufferBytes = BUFFER_BYTES } = {}): readonly [string, ...string[]] {
  return endWithUs([RULE_CHANGES_TOOL, "-e", SCRIPT, String(bufferBytes)]);
}
