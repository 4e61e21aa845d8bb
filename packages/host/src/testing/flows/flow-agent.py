"""Plays clients and endpoints in network namespaces: reads one JSON request a line, answers one JSON object a line.

Requests run side by side; each has an "id" that comes back with its answer, and the "pid" of a process in its namespace.

{"serve": [{"protocol": "tcp", "address": ..., "port": ...}, ...]}  answers {} once all are up; each tells a client who it sees
{"dial": {"protocol": ..., "from": ..., "to": ..., "port": ..., "seconds": ...}}
    answers {"endpoint": "address port", "source": "address"}, {"refused": true}, {"reset": true} or {"silent": true}
Whatever went wrong elsewhere: {"failed": why}

Linux without SCTP sockets still passes SCTP packets through netfilter, so that protocol is played by raw sockets: an INIT
that carries a port of the client's choice, and an INIT ACK that carries what the endpoint saw.
"""

import ctypes
import errno
import json
import random
import select
import socket
import struct
import sys
import threading
import time

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_RAW}
SCTP = 132
IP_FREEBIND = 15
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter_namespace(pid):
    """Sockets that this thread makes from now on are in the network namespace of a process."""
    with open(f"/proc/{pid}/ns/net") as namespace:
        if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp_packet(source_port, port, tag, chunk_type, body):
    body += b"\0" * (-len(body) % 4)
    chunk = struct.pack("!BBH", chunk_type, 0, 4 + len(body)) + body
    header = struct.pack("!HHI", source_port, port, tag)
    checksum = struct.pack("<I", crc32c(header + b"\0\0\0\0" + chunk))
    return header + checksum + chunk


def sctp_payload(packet, family):
    """The SCTP part of what a raw socket hands out: IPv4 comes with its header."""
    return packet[(packet[0] & 15) * 4 :] if family == socket.AF_INET else packet


INIT_BODY = struct.pack("!IIHHI", 0x01020304, 65536, 1, 1, 0x01020304)


def serve(protocol, address, port):
    family = family_of(address)
    what = f"{address} {port}".encode()
    if protocol == "sctp":
        listener = socket.socket(family, socket.SOCK_RAW, SCTP)
        listener.bind((address, 0))
        return lambda: serve_sctp(listener, port, what)
    listener = socket.socket(family, KINDS[protocol])
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Also where a busy kernel has not brought the address up yet.
    listener.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    listener.bind((address, port))
    if protocol == "udp":
        return lambda: serve_udp(listener, what)
    listener.listen(1024)
    return lambda: serve_tcp(listener, what)


def serve_tcp(listener, what):
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:  # Linux tells here of what became of a connection that waited.
            continue
        try:
            connection.sendall(what + b" " + peer[0].encode())
        except OSError:
            pass
        connection.close()


def serve_udp(listener, what):
    while True:
        _, peer = listener.recvfrom(100)
        listener.sendto(what + b" " + peer[0].encode(), peer)


def serve_sctp(listener, port, what):
    while True:
        packet, peer = listener.recvfrom(2000)
        packet = sctp_payload(packet, listener.family)
        source_port, own_port = struct.unpack("!HH", packet[:4])
        if own_port == port and packet[12] == 1:
            seen = what + b" " + peer[0].encode()
            parameter = struct.pack("!HH", 7, 4 + len(seen)) + seen  # State Cookie
            answer = sctp_packet(port, source_port, 0x01020304, 2, INIT_BODY + parameter)
            listener.sendto(answer, (peer[0], 0))


def dial(protocol, to, port, seconds, **options):
    family = family_of(to)
    client = socket.socket(family, KINDS[protocol], SCTP if protocol == "sctp" else 0)
    client.settimeout(seconds)
    client.bind((options["from"], 0))
    try:
        if protocol == "sctp":
            return dial_sctp(client, to, port, seconds)
        client.connect((to, port))
        if protocol == "udp":
            send(client, b"?")
        return answered(client.recv(1000))
    except socket.timeout:
        return {"silent": True}
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return {"refused": True}
        if error.errno == errno.ECONNRESET:
            return {"reset": True}
        return {"failed": str(error)}
    finally:
        client.close()


def send(client, packet):
    """A rule that refuses a packet on its way out fails the call too; what the client is told comes after that."""
    try:
        client.send(packet)
    except PermissionError:
        pass


def dial_sctp(client, to, port, seconds):
    source_port = random.randrange(20000, 60000)
    client.connect((to, 0))
    send(client, sctp_packet(source_port, port, 0, 1, INIT_BODY))
    deadline = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([client], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return {"silent": True}
        packet = sctp_payload(client.recv(2000), client.family)
        if struct.unpack("!H", packet[2:4])[0] == source_port and packet[12] == 2:
            return answered(packet[16 + len(INIT_BODY) + 4 :].rstrip(b"\0"))


def answered(text):
    if not text:
        return {"failed": "closed without a word"}
    address, port, source = text.decode().split()
    return {"endpoint": f"{address} {port}", "source": source}


def main():
    for line in sys.stdin:
        threading.Thread(target=answer, args=[json.loads(line)], daemon=True).start()


def answer(request):
    try:
        enter_namespace(request["pid"])
        if "serve" in request:
            for run in [serve(**each) for each in request["serve"]]:
                threading.Thread(target=run, daemon=True).start()
            result = {}
        else:
            result = dial(**request["dial"])
    except Exception as error:
        result = {"failed": repr(error)}
    sys.stdout.write(json.dumps({"id": request["id"], **result}) + "\n")
    sys.stdout.flush()


main()
