# KUBE-SERVICES of the filter table: a client of a ClusterIP that nobody serves is told so
ip6tables -t filter -N KUBE-SERVICES
ip6tables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
ip6tables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
ip6tables -t filter -A KUBE-SERVICES -d fd96::99 -p tcp -m tcp --dport 80 -j REJECT

# KUBE-EXTERNAL-SERVICES of the filter table: so is a client of any other address or NodePort
ip6tables -t filter -N KUBE-EXTERNAL-SERVICES
ip6tables -t filter -I INPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
ip6tables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
ip6tables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
ip6tables -t filter -A KUBE-EXTERNAL-SERVICES -d fd31::10 -p tcp -m tcp --dport 30099 -j REJECT

# New chains
ip6tables -t nat -N KUBE-SERVICES
ip6tables -t nat -N KUBE-SVC-web
ip6tables -t nat -N KUBE-SVL-web
ip6tables -t nat -N KUBE-EXT-web
ip6tables -t nat -N KUBE-SVC-here
ip6tables -t nat -N KUBE-SVL-here
ip6tables -t nat -N KUBE-SEP-web1
ip6tables -t nat -N KUBE-SEP-web2

# KUBE-MARK-MASQ
ip6tables -t nat -N KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-MARK-MASQ -j MARK --set-mark 0x8000

# KUBE-POSTROUTING
ip6tables -t nat -N KUBE-POSTROUTING
ip6tables -t nat -A POSTROUTING -j KUBE-POSTROUTING
ip6tables -t nat -A KUBE-POSTROUTING -m mark --mark 0x8000 -j MASQUERADE

# KUBE-SERVICES into PREROUTING and OUTPUT
ip6tables -t nat -A PREROUTING -j KUBE-SERVICES
ip6tables -t nat -A OUTPUT -j KUBE-SERVICES

# Each service's address into KUBE-SERVICES
ip6tables -t nat -A KUBE-SERVICES -d fd96::80 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SERVICES -d fd96::80 -p tcp -m tcp --dport 80 -j KUBE-SVC-web
ip6tables -t nat -A KUBE-SERVICES -d fd96::81 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SERVICES -d fd96::81 -p tcp -m tcp --dport 80 -j KUBE-SVL-here

# KUBE-SVC-web, KUBE-SVL-web, KUBE-EXT-web: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-web -m statistic --mode random --probability 0.5 -j KUBE-SEP-web1
ip6tables -t nat -A KUBE-SVC-web -j KUBE-SEP-web2
ip6tables -t nat -A KUBE-SVL-web -j KUBE-SEP-web1
ip6tables -t nat -A KUBE-EXT-web -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-EXT-web -m addrtype --src-type LOCAL -j KUBE-SVC-web
ip6tables -t nat -A KUBE-EXT-web -i veth+ -j KUBE-SVC-web
ip6tables -t nat -A KUBE-EXT-web -j KUBE-SVL-web

# KUBE-SVC-here, KUBE-SVL-here: one of the endpoints at random
ip6tables -t nat -A KUBE-SVC-here -m statistic --mode random --probability 0.5 -j KUBE-SEP-web1
ip6tables -t nat -A KUBE-SVC-here -j KUBE-SEP-web2
ip6tables -t nat -A KUBE-SVL-here -j KUBE-SEP-web1

# Endpoints: prepare SNAT for a client that reaches itself
ip6tables -t nat -A KUBE-SEP-web1 -s fd20::2 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-SEP-web2 -s fd20:0:0:1::2 -j KUBE-MARK-MASQ

# Endpoints: DNAT
ip6tables -t nat -A KUBE-SEP-web1 -p tcp -m tcp -j DNAT --to-destination "[fd20::2]:8080"
ip6tables -t nat -A KUBE-SEP-web2 -p tcp -m tcp -j DNAT --to-destination "[fd20:0:0:1::2]:8080"

# SNAT for this host's own connections: its address is not routed back from a pod on another host
ip6tables -t nat -I POSTROUTING 1 -s 2001:db8:1::10 -j MASQUERADE
ip6tables -t nat -I POSTROUTING 1 -s fd31::10 -j MASQUERADE

# NodePorts: asked last in KUBE-SERVICES, marked so that the answer comes back through this host
ip6tables -t nat -N KUBE-NODEPORTS
ip6tables -t nat -A KUBE-SERVICES -d fd31::10 -j KUBE-NODEPORTS
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-MARK-MASQ
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-web
ip6tables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-SVC-here
