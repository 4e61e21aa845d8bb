/** The founding document's rules as iptables-save prints them on cloudos1; the last rule is the first of POSTROUTING. */
export const DOCUMENT_RULES = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-os1my1 - [0:0]
:KUBE-SEP-os1my2 - [0:0]
:KUBE-SEP-os2my1 - [0:0]
:KUBE-SEP-os2my2 - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-1 - [0:0]
:KUBE-SVC-2 - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -s 192.168.1.6/32 -j MASQUERADE
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0xffffffff
-A KUBE-NODEPORTS -p tcp -m tcp --dport 34211 -j KUBE-MARK-MASQ
-A KUBE-NODEPORTS -p tcp -m tcp --dport 34212 -j KUBE-MARK-MASQ
-A KUBE-NODEPORTS -p tcp -m tcp --dport 34211 -j KUBE-SVC-1
-A KUBE-NODEPORTS -p tcp -m tcp --dport 34212 -j KUBE-SVC-2
-A KUBE-POSTROUTING -m mark --mark 0x4000 -j MASQUERADE
-A KUBE-SEP-os1my1 -s 10.5.75.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-os1my1 -p tcp -m tcp -j DNAT --to-destination 10.5.75.2:3000
-A KUBE-SEP-os1my2 -s 10.5.75.3/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-os1my2 -p tcp -m tcp -j DNAT --to-destination 10.5.75.3:3000
-A KUBE-SEP-os2my1 -s 10.5.88.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-os2my1 -p tcp -m tcp -j DNAT --to-destination 10.5.88.2:3000
-A KUBE-SEP-os2my2 -s 10.5.88.3/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-os2my2 -p tcp -m tcp -j DNAT --to-destination 10.5.88.3:3000
-A KUBE-SERVICES -d 10.100.100.1/32 -p tcp -m tcp --dport 7070 -j KUBE-SVC-1
-A KUBE-SERVICES -d 10.100.100.2/32 -p tcp -m tcp --dport 6060 -j KUBE-SVC-2
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-1 -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-os1my1
-A KUBE-SVC-1 -j KUBE-SEP-os2my1
-A KUBE-SVC-2 -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-os1my2
-A KUBE-SVC-2 -j KUBE-SEP-os2my2
COMMIT
`;
