# KUBE-SERVICES of the filter table: a client of a ClusterIP that nobody serves is told so
ip6tables -t filter -N KUBE-SERVICES
ip6tables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
ip6tables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
ip6tables -t filter -A KUBE-SERVICES -d fd96::82 -p tcp -m tcp --dport 80 -j DROP
ip6tables -t filter -A KUBE-SERVICES -d fd96::99 -p tcp -m tcp --dport 80 -j REJECT
ip6tables -t filter -A KUBE-SERVICES -d fd96::99 -p udp -m udp --dport 80 -j REJECT
ip6tables -t filter -A KUBE-SERVICES -d fd96::99 -p sctp -m sctp --dport 80 -j REJECT

# KUBE-EXTERNAL-SERVICES of the filter table: so is a client of any other address or NodePort
ip6tables -t filter -N KUBE-EXTERNAL-SERVICES
ip6tables -t filter -I INPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
ip6tables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
ip6tables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -d 2001:db8:ee::82 -p tcp -m tcp --dport 80 -j DROP
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -d 2001:db8:ee::99 -p tcp -m tcp --dport 80 -j REJECT
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -d 2001:db8:ee::99 -p udp -m udp --dport 80 -j REJECT
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -d 2001:db8:ee::99 -p sctp -m sctp --dport 80 -j REJECT
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30082 -j DROP
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30099 -j REJECT
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p udp -m udp --dport 30099 -j REJECT
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p sctp -m sctp --dport 30099 -j REJECT

# KUBE-PROXY-FIREWALL of the filter table: who is not in the source ranges gets no answer
ip6tables -t filter -N KUBE-PROXY-FIREWALL
ip6tables -t filter -I INPUT 1 -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
ip6tables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
ip6tables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
ip6tables -t filter -A KUBE-PROXY-FIREWALL -d 2001:db8:ff::80 -p tcp -m tcp --dport 80 -j DROP
ip6tables -t filter -A KUBE-PROXY-FIREWALL -d 2001:db8:ff::80 -p tcp -m tcp --dport 9000 -j DROP

# KUBE-NODEPORTS of the filter table: health checks are let in
ip6tables -t filter -N KUBE-NODEPORTS
ip6tables -t filter -I INPUT 1 -j KUBE-NODEPORTS
ip6tables -t filter -A KUBE-NODEPORTS -p tcp -m tcp --dport 32000 -j ACCEPT

# New chains
ip6tables -t nat -N KUBE-SERVICES
ip6tables -t nat -N KUBE-SVC-web
ip6tables -t nat -N KUBE-EXT-web
ip6tables -t nat -N KUBE-FW-web
ip6tables -t nat -N KUBE-SVC-web-admin
ip6tables -t nat -N KUBE-EXT-web-admin
ip6tables -t nat -N KUBE-FW-web-admin
ip6tables -t nat -N KUBE-SVC-local
ip6tables -t nat -N KUBE-SVL-local
ip6tables -t nat -N KUBE-EXT-local
ip6tables -t nat -N KUBE-SVC-away
ip6tables -t nat -N KUBE-EXT-away
ip6tables -t nat -N KUBE-SVL-dns
ip6tables -t nat -N KUBE-SVL-dns-dns-tcp
ip6tables -t nat -N KUBE-SVC-signal
ip6tables -t nat -N KUBE-SVC-abroad
ip6tables -t nat -N KUBE-SEP-web1-8080-web
ip6tables -t nat -N KUBE-SEP-web1-9001
ip6tables -t nat -N KUBE-SEP-web1-8080
ip6tables -t nat -N KUBE-SEP-dns1-53udp
ip6tables -t nat -N KUBE-SEP-dns1-53tcp
ip6tables -t nat -N KUBE-SEP-web2-8080-web
ip6tables -t nat -N KUBE-SEP-web2-9001
ip6tables -t nat -N KUBE-SEP-web2-8080
ip6tables -t nat -N KUBE-SEP-web3-8080-web
ip6tables -t nat -N KUBE-SEP-web3-9001
ip6tables -t nat -N KUBE-SEP-web3-8080
ip6tables -t nat -N KUBE-SEP-sig1
ip6tables -t nat -N KUBE-SEP-2001.db8.aa..7

# KUBE-MARK-MASQ
ip6tables -t nat -N KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-MARK-MASQ -j MARK --set-mark 0x4000

# KUBE-POSTROUTING
ip6tables -t nat -N KUBE-POSTROUTING
ip6tables -t nat -A POSTROUTING -j KUBE-POSTROUTING
ip6tables -t nat -A KUBE-POSTROUTING -m mark --mark 0x4000 -j MASQUERADE

# KUBE-SERVICES into PREROUTING and OUTPUT
ip6tables -t nat -A PREROUTING -j KUBE-SERVICES
ip6tables -t nat -A OUTPUT -j KUBE-SERVICES

# Each service's address into KUBE-SERVICES
ip6tables -t nat -A KUBE-SERVICES -d fd96::80 -p tcp -m tcp --dport 80 -j KUBE-SVC-web
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ee::80 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ee::80 -p tcp -m tcp --dport 80 -j KUBE-SVC-web
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ff::80 -p tcp -m tcp --dport 80 -j KUBE-FW-web
ip6tables -t nat -A KUBE-SERVICES -d fd96::80 -p tcp -m tcp --dport 9000 -j KUBE-SVC-web-admin
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ee::80 -p tcp -m tcp --dport 9000 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ee::80 -p tcp -m tcp --dport 9000 -j KUBE-SVC-web-admin
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ff::80 -p tcp -m tcp --dport 9000 -j KUBE-FW-web-admin
ip6tables -t nat -A KUBE-SERVICES -d fd96::81 -p tcp -m tcp --dport 80 -j KUBE-SVC-local
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ff::81 -p tcp -m tcp --dport 80 -j KUBE-EXT-local
ip6tables -t nat -A KUBE-SERVICES -d 2001:db8:ee::82 -p tcp -m tcp --dport 80 -j KUBE-EXT-away
ip6tables -t nat -A KUBE-SERVICES -d fd96::53 -p udp -m udp --dport 53 -j KUBE-SVL-dns
ip6tables -t nat -A KUBE-SERVICES -d fd96::53 -p tcp -m tcp --dport 53 -j KUBE-SVL-dns-dns-tcp
ip6tables -t nat -A KUBE-SERVICES -d fd96::90 -p sctp -m sctp --dport 2905 -j KUBE-SVC-signal
ip6tables -t nat -A KUBE-SERVICES -d fd96::100 -p tcp -m tcp --dport 8443 -j KUBE-SVC-abroad

# KUBE-SVC-web, KUBE-EXT-web, KUBE-FW-web: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-web -m recent --name KUBE-SEP-web1-8080-web --rcheck --seconds 600 --reap -j KUBE-SEP-web1-8080-web
ip6tables -t nat -A KUBE-SVC-web -m recent --name KUBE-SEP-web2-8080-web --rcheck --seconds 600 --reap -j KUBE-SEP-web2-8080-web
ip6tables -t nat -A KUBE-SVC-web -m recent --name KUBE-SEP-web3-8080-web --rcheck --seconds 600 --reap -j KUBE-SEP-web3-8080-web
ip6tables -t nat -A KUBE-SVC-web -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-web1-8080-web
ip6tables -t nat -A KUBE-SVC-web -m statistic --mode random --probability 0.5 -j KUBE-SEP-web2-8080-web
ip6tables -t nat -A KUBE-SVC-web -j KUBE-SEP-web3-8080-web
ip6tables -t nat -A KUBE-EXT-web -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-EXT-web -j KUBE-SVC-web
ip6tables -t nat -A KUBE-FW-web -s 2001:db8:1::/48 -j KUBE-EXT-web
ip6tables -t nat -A KUBE-FW-web -s 2001:db8:ff::80 -j KUBE-EXT-web

# KUBE-SVC-web-admin, KUBE-EXT-web-admin, KUBE-FW-web-admin: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-web-admin -m recent --name KUBE-SEP-web1-9001 --rcheck --seconds 600 --reap -j KUBE-SEP-web1-9001
ip6tables -t nat -A KUBE-SVC-web-admin -m recent --name KUBE-SEP-web2-9001 --rcheck --seconds 600 --reap -j KUBE-SEP-web2-9001
ip6tables -t nat -A KUBE-SVC-web-admin -m recent --name KUBE-SEP-web3-9001 --rcheck --seconds 600 --reap -j KUBE-SEP-web3-9001
ip6tables -t nat -A KUBE-SVC-web-admin -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-web1-9001
ip6tables -t nat -A KUBE-SVC-web-admin -m statistic --mode random --probability 0.5 -j KUBE-SEP-web2-9001
ip6tables -t nat -A KUBE-SVC-web-admin -j KUBE-SEP-web3-9001
ip6tables -t nat -A KUBE-EXT-web-admin -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-EXT-web-admin -j KUBE-SVC-web-admin
ip6tables -t nat -A KUBE-FW-web-admin -s 2001:db8:1::/48 -j KUBE-EXT-web-admin
ip6tables -t nat -A KUBE-FW-web-admin -s 2001:db8:ff::80 -j KUBE-EXT-web-admin

# KUBE-SVC-local, KUBE-SVL-local, KUBE-EXT-local: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-local -m statistic --mode random --probability 0.5 -j KUBE-SEP-web1-8080
ip6tables -t nat -A KUBE-SVC-local -j KUBE-SEP-web2-8080
ip6tables -t nat -A KUBE-SVL-local -j KUBE-SEP-web1-8080
ip6tables -t nat -A KUBE-EXT-local -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-EXT-local -m addrtype --src-type LOCAL -j KUBE-SVC-local
ip6tables -t nat -A KUBE-EXT-local -s fd20::/64 -j KUBE-SVC-local
ip6tables -t nat -A KUBE-EXT-local -j KUBE-SVL-local

# KUBE-SVC-away, KUBE-EXT-away: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-away -m statistic --mode random --probability 0.5 -j KUBE-SEP-web2-8080
ip6tables -t nat -A KUBE-SVC-away -j KUBE-SEP-web3-8080
ip6tables -t nat -A KUBE-EXT-away -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-EXT-away -m addrtype --src-type LOCAL -j KUBE-SVC-away
ip6tables -t nat -A KUBE-EXT-away -s fd20::/64 -j KUBE-SVC-away

# KUBE-SVL-dns: one of the endpoints at random
ip6tables -t nat -A KUBE-SVL-dns -j KUBE-SEP-dns1-53udp

# KUBE-SVL-dns-dns-tcp: one of the endpoints at random
ip6tables -t nat -A KUBE-SVL-dns-dns-tcp -j KUBE-SEP-dns1-53tcp

# KUBE-SVC-signal: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-signal -j KUBE-SEP-sig1

# KUBE-SVC-abroad: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-abroad -j KUBE-SEP-2001.db8.aa..7

# Endpoints: prepare SNAT for a client that reaches itself
ip6tables -t nat -A KUBE-SEP-web1-8080-web -s fd20::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web1-9001 -s fd20::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web1-8080 -s fd20::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-dns1-53udp -s fd20::3 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-dns1-53tcp -s fd20::3 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web2-8080-web -s fd20:0:0:1::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web2-9001 -s fd20:0:0:1::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web2-8080 -s fd20:0:0:1::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web3-8080-web -s fd20:0:0:1::4 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web3-9001 -s fd20:0:0:1::4 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web3-8080 -s fd20:0:0:1::4 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-sig1 -s fd20:0:0:1::3 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-2001.db8.aa..7 -s 2001:db8:aa::7 -j KUBE-MARK-MASQ

# Endpoints: DNAT
ip6tables -t nat -A KUBE-SEP-web1-8080-web -p tcp -m tcp -m recent --name KUBE-SEP-web1-8080-web --set -j DNAT --to-destination "[fd20::2]:8080"
ip6tables -t nat -A KUBE-SEP-web1-9001 -p tcp -m tcp -m recent --name KUBE-SEP-web1-9001 --set -j DNAT --to-destination "[fd20::2]:9001"
ip6tables -t nat -A KUBE-SEP-web1-8080 -p tcp -m tcp -j DNAT --to-destination "[fd20::2]:8080"
ip6tables -t nat -A KUBE-SEP-dns1-53udp -p udp -m udp -j DNAT --to-destination "[fd20::3]:53"
ip6tables -t nat -A KUBE-SEP-dns1-53tcp -p tcp -m tcp -j DNAT --to-destination "[fd20::3]:53"
ip6tables -t nat -A KUBE-SEP-web2-8080-web -p tcp -m tcp -m recent --name KUBE-SEP-web2-8080-web --set -j DNAT --to-destination "[fd20:0:0:1::2]:8080"
ip6tables -t nat -A KUBE-SEP-web2-9001 -p tcp -m tcp -m recent --name KUBE-SEP-web2-9001 --set -j DNAT --to-destination "[fd20:0:0:1::2]:9001"
ip6tables -t nat -A KUBE-SEP-web2-8080 -p tcp -m tcp -j DNAT --to-destination "[fd20:0:0:1::2]:8080"
ip6tables -t nat -A KUBE-SEP-web3-8080-web -p tcp -m tcp -m recent --name KUBE-SEP-web3-8080-web --set -j DNAT --to-destination "[fd20:0:0:1::4]:8080"
ip6tables -t nat -A KUBE-SEP-web3-9001 -p tcp -m tcp -m recent --name KUBE-SEP-web3-9001 --set -j DNAT --to-destination "[fd20:0:0:1::4]:9001"
ip6tables -t nat -A KUBE-SEP-web3-8080 -p tcp -m tcp -j DNAT --to-destination "[fd20:0:0:1::4]:8080"
ip6tables -t nat -A KUBE-SEP-sig1 -p sctp -m sctp -j DNAT --to-destination "[fd20:0:0:1::3]:2905"
ip6tables -t nat -A KUBE-SEP-2001.db8.aa..7 -p tcp -m tcp -j DNAT --to-destination "[2001:db8:aa::7]:443"

# SNAT for this host's own connections: its address is not routed back from a pod on another host
ip6tables -t nat -I POSTROUTING 1 -s 2001:db8:1::10 -j MASQUERADE

# NodePorts: asked last in KUBE-SERVICES, marked so that the answer comes back through this host
ip6tables -t nat -N KUBE-NODEPORTS
ip6tables -t nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-NODEPORTS -p sctp -m sctp --dport 30090 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SVC-web
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-EXT-local
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30082 -j KUBE-EXT-away
ip6tables -t nat -A KUBE-NODEPORTS -p sctp -m sctp --dport 30090 -j KUBE-SVC-signal
