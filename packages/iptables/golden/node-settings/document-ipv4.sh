# KUBE-SERVICES of the filter table: a client of a ClusterIP that nobody serves is told so
iptables -t filter -N KUBE-SERVICES
iptables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
iptables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-SERVICES
iptables -t filter -A KUBE-SERVICES -d 10.96.0.99 -p tcp -m tcp --dport 80 -j REJECT

# KUBE-EXTERNAL-SERVICES of the filter table: so is a client of any other address or NodePort
iptables -t filter -N KUBE-EXTERNAL-SERVICES
iptables -t filter -I INPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
iptables -t filter -I FORWARD 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
iptables -t filter -I OUTPUT 1 -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
iptables -t filter -A KUBE-EXTERNAL-SERVICES -d 172.31.0.10 -p tcp -m tcp --dport 30099 -j REJECT
iptables -t filter -A KUBE-EXTERNAL-SERVICES -d 127.0.0.1 -p tcp -m tcp --dport 30099 -j REJECT

# KUBE-FIREWALL of the filter table: NodePorts on 127.0.0.1 open loopback to nobody else
iptables -t filter -N KUBE-FIREWALL
iptables -t filter -I INPUT 1 -j KUBE-FIREWALL
iptables -t filter -I OUTPUT 1 -j KUBE-FIREWALL
iptables -t filter -A KUBE-FIREWALL -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP

# New chains
iptables -t nat -N KUBE-SERVICES
iptables -t nat -N KUBE-SVC-web
iptables -t nat -N KUBE-SVL-web
iptables -t nat -N KUBE-EXT-web
iptables -t nat -N KUBE-SVC-here
iptables -t nat -N KUBE-SVL-here
iptables -t nat -N KUBE-SEP-web1
iptables -t nat -N KUBE-SEP-web2

# KUBE-MARK-MASQ
iptables -t nat -N KUBE-MARK-MASQ
iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-mark 0x8000

# KUBE-POSTROUTING
iptables -t nat -N KUBE-POSTROUTING
iptables -t nat -A POSTROUTING -j KUBE-POSTROUTING
iptables -t nat -A KUBE-POSTROUTING -m mark --mark 0x8000 -j MASQUERADE

# KUBE-SERVICES into PREROUTING and OUTPUT
iptables -t nat -A PREROUTING -j KUBE-SERVICES
iptables -t nat -A OUTPUT -j KUBE-SERVICES

# Each service's address into KUBE-SERVICES
iptables -t nat -A KUBE-SERVICES -d 10.96.0.80 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SERVICES -d 10.96.0.80 -p tcp -m tcp --dport 80 -j KUBE-SVC-web
iptables -t nat -A KUBE-SERVICES -d 10.96.0.81 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SERVICES -d 10.96.0.81 -p tcp -m tcp --dport 80 -j KUBE-SVL-here

# KUBE-SVC-web, KUBE-SVL-web, KUBE-EXT-web: one of the endpoints at random
iptables -t nat -A KUBE-SVC-web -m statistic --mode random --probability 0.5 -j KUBE-SEP-web1
iptables -t nat -A KUBE-SVC-web -j KUBE-SEP-web2
iptables -t nat -A KUBE-SVL-web -j KUBE-SEP-web1
iptables -t nat -A KUBE-EXT-web -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-EXT-web -m addrtype --src-type LOCAL -j KUBE-SVC-web
iptables -t nat -A KUBE-EXT-web -i veth+ -j KUBE-SVC-web
iptables -t nat -A KUBE-EXT-web -j KUBE-SVL-web

# KUBE-SVC-here, KUBE-SVL-here: one of the endpoints at random
iptables -t nat -A KUBE-SVC-here -m statistic --mode random --probability 0.5 -j KUBE-SEP-web1
iptables -t nat -A KUBE-SVC-here -j KUBE-SEP-web2
iptables -t nat -A KUBE-SVL-here -j KUBE-SEP-web1

# Endpoints: prepare SNAT for a client that reaches itself
iptables -t nat -A KUBE-SEP-web1 -s 10.20.0.2 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-SEP-web2 -s 10.20.1.2 -j KUBE-MARK-MASQ

# Endpoints: DNAT
iptables -t nat -A KUBE-SEP-web1 -p tcp -m tcp -j DNAT --to-destination 10.20.0.2:8080
iptables -t nat -A KUBE-SEP-web2 -p tcp -m tcp -j DNAT --to-destination 10.20.1.2:8080

# SNAT for this host's own connections: its address is not routed back from a pod on another host
iptables -t nat -I POSTROUTING 1 -s 192.0.2.10 -j MASQUERADE
iptables -t nat -I POSTROUTING 1 -s 172.31.0.10 -j MASQUERADE

# NodePorts: asked last in KUBE-SERVICES, marked so that the answer comes back through this host
iptables -t nat -N KUBE-NODEPORTS
iptables -t nat -A KUBE-SERVICES -d 172.31.0.10 -j KUBE-NODEPORTS
iptables -t nat -A KUBE-SERVICES -d 127.0.0.1 -j KUBE-NODEPORTS
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-MARK-MASQ
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-web
iptables -t nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-SVC-here
