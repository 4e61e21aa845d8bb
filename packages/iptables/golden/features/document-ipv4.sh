# KUBE-SERVICES of the filter table: a client of a ClusterIP that nobody serves is told so
iptables -t filter -N KUBE-SERVICES
iptables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
iptables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
iptables -t filter -A KUBE-SERVICES -d 10.96.0.82 -p tcp -m tcp --dport 80 -j DROP
iptables -t filter -A KUBE-SERVICES -d 10.96.0.99 -p tcp -m tcp --dport 80 -j REJECT
iptables -t filter -A KUBE-SERVICES -d 10.96.0.99 -p udp -m udp --dport 80 -j REJECT
iptables -t filter -A KUBE-SERVICES -d 10.96.0.99 -p sctp -m sctp --dport 80 -j REJECT

# KUBE-EXTERNAL-SERVICES of the filter table: so is a client of any other address or NodePort
iptables -t filter -N KUBE-EXTERNAL-SERVICES
iptables -t filter -I INPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
iptables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
iptables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
iptables -t filter -A KUBE-EXTERNAL-SERVICES -d 198.51.100.82 -p tcp -m tcp --dport 80 -j DROP
iptables -t filter -A KUBE-EXTERNAL-SERVICES -d 198.51.100.99 -p tcp -m tcp --dport 80 -j REJECT
iptables -t filter -A KUBE-EXTERNAL-SERVICES -d 198.51.100.99 -p udp -m udp --dport 80 -j REJECT
iptables -t filter -A KUBE-EXTERNAL-SERVICES -d 198.51.100.99 -p sctp -m sctp --dport 80 -j REJECT
iptables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30082 -j DROP
iptables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30099 -j REJECT
iptables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p udp -m udp --dport 30099 -j REJECT
iptables -t filter -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -p sctp -m sctp --dport 30099 -j REJECT

# KUBE-PROXY-FIREWALL of the filter table: who is not in the source ranges gets no answer
iptables -t filter -N KUBE-PROXY-FIREWALL
iptables -t filter -I INPUT 1 -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
iptables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
iptables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
iptables -t filter -A KUBE-PROXY-FIREWALL -d 203.0.113.80 -p tcp -m tcp --dport 80 -j DROP
iptables -t filter -A KUBE-PROXY-FIREWALL -d 203.0.113.80 -p tcp -m tcp --dport 9000 -j DROP

# KUBE-NODEPORTS of the filter table: health checks are let in
iptables -t filter -N KUBE-NODEPORTS
iptables -t filter -I INPUT 1 -j KUBE-NODEPORTS
iptables -t filter -A KUBE-NODEPORTS -p tcp -m tcp --dport 32000 -j ACCEPT

# New chains
iptables -t nat -N KUBE-SERVICES
iptables -t nat -N KUBE-SVC-web
iptables -t nat -N KUBE-EXT-web
iptables -t nat -N KUBE-FW-web
iptables -t nat -N KUBE-SVC-web-admin
iptables -t nat -N KUBE-EXT-web-admin
iptables -t nat -N KUBE-FW-web-admin
iptables -t nat -N KUBE-SVC-local
iptables -t nat -N KUBE-SVL-local
iptables -t nat -N KUBE-EXT-local
iptables -t nat -N KUBE-SVC-away
iptables -t nat -N KUBE-EXT-away
iptables -t nat -N KUBE-SVL-dns
iptables -t nat -N KUBE-SVL-dns-dns-tcp
iptables -t nat -N KUBE-SVC-signal
iptables -t nat -N KUBE-SVC-abroad
iptables -t nat -N KUBE-SEP-web1-8080-web
iptables -t nat -N KUBE-SEP-web1-9001
iptables -t nat -N KUBE-SEP-web1-8080
iptables -t nat -N KUBE-SEP-dns1-53udp
iptables -t nat -N KUBE-SEP-dns1-53tcp
iptables -t nat -N KUBE-SEP-web2-8080-web
iptables -t nat -N KUBE-SEP-web2-9001
iptables -t nat -N KUBE-SEP-web2-8080
iptables -t nat -N KUBE-SEP-web3-8080-web
iptables -t nat -N KUBE-SEP-web3-9001
iptables -t nat -N KUBE-SEP-web3-8080
iptables -t nat -N KUBE-SEP-sig1
iptables -t nat -N KUBE-SEP-198.51.100.7

# KUBE-MARK-MASQ
iptables -t nat -N KUBE-MARK-MASQ
iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-mark 0x4000

# KUBE-POSTROUTING
iptables -t nat -N KUBE-POSTROUTING
iptables -t nat -A POSTROUTING -j KUBE-POSTROUTING
iptables -t nat -A KUBE-POSTROUTING -m mark --mark 0x4000 -j MASQUERADE

# KUBE-SERVICES into PREROUTING and OUTPUT
iptables -t nat -A PREROUTING -j KUBE-SERVICES
iptables -t nat -A OUTPUT -j KUBE-SERVICES

# Each service's address into KUBE-SERVICES
iptables -t nat -A KUBE-SERVICES -d 10.96.0.80 -p tcp -m tcp --dport 80 -j KUBE-SVC-web
iptables -t nat -A KUBE-SERVICES -d 198.51.100.80 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SERVICES -d 198.51.100.80 -p tcp -m tcp --dport 80 -j KUBE-SVC-web
iptables -t nat -A KUBE-SERVICES -d 203.0.113.80 -p tcp -m tcp --dport 80 -j KUBE-FW-web
iptables -t nat -A KUBE-SERVICES -d 10.96.0.80 -p tcp -m tcp --dport 9000 -j KUBE-SVC-web-admin
iptables -t nat -A KUBE-SERVICES -d 198.51.100.80 -p tcp -m tcp --dport 9000 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SERVICES -d 198.51.100.80 -p tcp -m tcp --dport 9000 -j KUBE-SVC-web-admin
iptables -t nat -A KUBE-SERVICES -d 203.0.113.80 -p tcp -m tcp --dport 9000 -j KUBE-FW-web-admin
iptables -t nat -A KUBE-SERVICES -d 10.96.0.81 -p tcp -m tcp --dport 80 -j KUBE-SVC-local
iptables -t nat -A KUBE-SERVICES -d 203.0.113.81 -p tcp -m tcp --dport 80 -j KUBE-EXT-local
iptables -t nat -A KUBE-SERVICES -d 198.51.100.82 -p tcp -m tcp --dport 80 -j KUBE-EXT-away
iptables -t nat -A KUBE-SERVICES -d 10.96.0.53 -p udp -m udp --dport 53 -j KUBE-SVL-dns
iptables -t nat -A KUBE-SERVICES -d 10.96.0.53 -p tcp -m tcp --dport 53 -j KUBE-SVL-dns-dns-tcp
iptables -t nat -A KUBE-SERVICES -d 10.96.0.90 -p sctp -m sctp --dport 2905 -j KUBE-SVC-signal
iptables -t nat -A KUBE-SERVICES -d 10.96.0.100 -p tcp -m tcp --dport 8443 -j KUBE-SVC-abroad

# KUBE-SVC-web, KUBE-EXT-web, KUBE-FW-web: one of the endpoints at random
iptables -t nat -A KUBE-SVC-web -m recent --name KUBE-SEP-web1-8080-web --rcheck --seconds 600 --reap -j KUBE-SEP-web1-8080-web
iptables -t nat -A KUBE-SVC-web -m recent --name KUBE-SEP-web2-8080-web --rcheck --seconds 600 --reap -j KUBE-SEP-web2-8080-web
iptables -t nat -A KUBE-SVC-web -m recent --name KUBE-SEP-web3-8080-web --rcheck --seconds 600 --reap -j KUBE-SEP-web3-8080-web
iptables -t nat -A KUBE-SVC-web -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-web1-8080-web
iptables -t nat -A KUBE-SVC-web -m statistic --mode random --probability 0.5 -j KUBE-SEP-web2-8080-web
iptables -t nat -A KUBE-SVC-web -j KUBE-SEP-web3-8080-web
iptables -t nat -A KUBE-EXT-web -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-EXT-web -j KUBE-SVC-web
iptables -t nat -A KUBE-FW-web -s 192.0.2.0/24 -j KUBE-EXT-web
iptables -t nat -A KUBE-FW-web -s 203.0.113.80 -j KUBE-EXT-web

# KUBE-SVC-web-admin, KUBE-EXT-web-admin, KUBE-FW-web-admin: one of the endpoints at random
iptables -t nat -A KUBE-SVC-web-admin -m recent --name KUBE-SEP-web1-9001 --rcheck --seconds 600 --reap -j KUBE-SEP-web1-9001
iptables -t nat -A KUBE-SVC-web-admin -m recent --name KUBE-SEP-web2-9001 --rcheck --seconds 600 --reap -j KUBE-SEP-web2-9001
iptables -t nat -A KUBE-SVC-web-admin -m recent --name KUBE-SEP-web3-9001 --rcheck --seconds 600 --reap -j KUBE-SEP-web3-9001
iptables -t nat -A KUBE-SVC-web-admin -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-web1-9001
iptables -t nat -A KUBE-SVC-web-admin -m statistic --mode random --probability 0.5 -j KUBE-SEP-web2-9001
iptables -t nat -A KUBE-SVC-web-admin -j KUBE-SEP-web3-9001
iptables -t nat -A KUBE-EXT-web-admin -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-EXT-web-admin -j KUBE-SVC-web-admin
iptables -t nat -A KUBE-FW-web-admin -s 192.0.2.0/24 -j KUBE-EXT-web-admin
iptables -t nat -A KUBE-FW-web-admin -s 203.0.113.80 -j KUBE-EXT-web-admin

# KUBE-SVC-local, KUBE-SVL-local, KUBE-EXT-local: one of the endpoints at random
iptables -t nat -A KUBE-SVC-local -m statistic --mode random --probability 0.5 -j KUBE-SEP-web1-8080
iptables -t nat -A KUBE-SVC-local -j KUBE-SEP-web2-8080
iptables -t nat -A KUBE-SVL-local -j KUBE-SEP-web1-8080
iptables -t nat -A KUBE-EXT-local -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-EXT-local -m addrtype --src-type LOCAL -j KUBE-SVC-local
iptables -t nat -A KUBE-EXT-local -s 10.20.0.0/24 -j KUBE-SVC-local
iptables -t nat -A KUBE-EXT-local -j KUBE-SVL-local

# KUBE-SVC-away, KUBE-EXT-away: one of the endpoints at random
iptables -t nat -A KUBE-SVC-away -m statistic --mode random --probability 0.5 -j KUBE-SEP-web2-8080
iptables -t nat -A KUBE-SVC-away -j KUBE-SEP-web3-8080
iptables -t nat -A KUBE-EXT-away -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-EXT-away -m addrtype --src-type LOCAL -j KUBE-SVC-away
iptables -t nat -A KUBE-EXT-away -s 10.20.0.0/24 -j KUBE-SVC-away

# KUBE-SVL-dns: one of the endpoints at random
iptables -t nat -A KUBE-SVL-dns -j KUBE-SEP-dns1-53udp

# KUBE-SVL-dns-dns-tcp: one of the endpoints at random
iptables -t nat -A KUBE-SVL-dns-dns-tcp -j KUBE-SEP-dns1-53tcp

# KUBE-SVC-signal: one of the endpoints at random
iptables -t nat -A KUBE-SVC-signal -j KUBE-SEP-sig1

# KUBE-SVC-abroad: one of the endpoints at random
iptables -t nat -A KUBE-SVC-abroad -j KUBE-SEP-198.51.100.7

# Endpoints: prepare SNAT for a client that reaches itself
iptables -t nat -A KUBE-SEP-web1-8080-web -s 10.20.0.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web1-9001 -s 10.20.0.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web1-8080 -s 10.20.0.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-dns1-53udp -s 10.20.0.3 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-dns1-53tcp -s 10.20.0.3 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web2-8080-web -s 10.20.1.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web2-9001 -s 10.20.1.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web2-8080 -s 10.20.1.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web3-8080-web -s 10.20.1.4 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web3-9001 -s 10.20.1.4 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web3-8080 -s 10.20.1.4 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-sig1 -s 10.20.1.3 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-198.51.100.7 -s 198.51.100.7 -j KUBE-MARK-MASQ

# Endpoints: DNAT
iptables -t nat -A KUBE-SEP-web1-8080-web -p tcp -m tcp -m recent --name KUBE-SEP-web1-8080-web --set -j DNAT --to-destination 10.20.0.2:8080
iptables -t nat -A KUBE-SEP-web1-9001 -p tcp -m tcp -m recent --name KUBE-SEP-web1-9001 --set -j DNAT --to-destination 10.20.0.2:9001
iptables -t nat -A KUBE-SEP-web1-8080 -p tcp -m tcp -j DNAT --to-destination 10.20.0.2:8080
iptables -t nat -A KUBE-SEP-dns1-53udp -p udp -m udp -j DNAT --to-destination 10.20.0.3:53
iptables -t nat -A KUBE-SEP-dns1-53tcp -p tcp -m tcp -j DNAT --to-destination 10.20.0.3:53
iptables -t nat -A KUBE-SEP-web2-8080-web -p tcp -m tcp -m recent --name KUBE-SEP-web2-8080-web --set -j DNAT --to-destination 10.20.1.2:8080
iptables -t nat -A KUBE-SEP-web2-9001 -p tcp -m tcp -m recent --name KUBE-SEP-web2-9001 --set -j DNAT --to-destination 10.20.1.2:9001
iptables -t nat -A KUBE-SEP-web2-8080 -p tcp -m tcp -j DNAT --to-destination 10.20.1.2:8080
iptables -t nat -A KUBE-SEP-web3-8080-web -p tcp -m tcp -m recent --name KUBE-SEP-web3-8080-web --set -j DNAT --to-destination 10.20.1.4:8080
iptables -t nat -A KUBE-SEP-web3-9001 -p tcp -m tcp -m recent --name KUBE-SEP-web3-9001 --set -j DNAT --to-destination 10.20.1.4:9001
iptables -t nat -A KUBE-SEP-web3-8080 -p tcp -m tcp -j DNAT --to-destination 10.20.1.4:8080
iptables -t nat -A KUBE-SEP-sig1 -p sctp -m sctp -j DNAT --to-destination 10.20.1.3:2905
iptables -t nat -A KUBE-SEP-198.51.100.7 -p tcp -m tcp -j DNAT --to-destination 198.51.100.7:443

# SNAT for this host's own connections: its address is not routed back from a pod on another host
iptables -t nat -I POSTROUTING 1 -s 192.0.2.10 -j MASQUERADE

# NodePorts: asked last in KUBE-SERVICES, marked so that the answer comes back through this host
iptables -t nat -N KUBE-NODEPORTS
iptables -t nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-NODEPORTS -p sctp -m sctp --dport 30090 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SVC-web
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-EXT-local
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30082 -j KUBE-EXT-away
iptables -t nat -A KUBE-NODEPORTS -p sctp -m sctp --dport 30090 -j KUBE-SVC-signal
