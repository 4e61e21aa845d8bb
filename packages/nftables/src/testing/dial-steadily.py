"""Dials a service at a steady rate until stdin ends, from one address after the other, and reads what each connection brings.

    dial-steadily.py TO PORT RATE FROM...

Prints "ready" with the first answer, and at the end one JSON object: how many connections were answered, refused, reset, late (their
SYN had to be sent again) or failed otherwise, and the longest time to an answer, in milliseconds.
"""

import errno
import json
import os
import select
import socket
import sys
import time

to, port, rate, sources = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
family = socket.AF_INET6 if ":" in to else socket.AF_INET
# The kernel sends a SYN again after a second.
LATE_SECONDS = 0.9
PATIENCE_SECONDS = 30
# The port is drawn by connect(): one that bind() draws may be one whose last connection the server still remembers.
IP_BIND_ADDRESS_NO_PORT = 24

met = {"answered": 0, "refused": 0, "reset": 0, "late": 0, "failed": 0}
longest = 0.0
errors = set()
poll = select.epoll()
poll.register(0, select.EPOLLIN | select.EPOLLHUP)
open_at = {}


def dial(index):
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((sources[index % len(sources)], 0))
    code = client.connect_ex((to, port))
    if code not in (0, errno.EINPROGRESS):
        return fail(code)
    poll.register(client.fileno(), select.EPOLLIN)
    open_at[client.fileno()] = (client, time.monotonic())


def fail(code):
    kind = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}.get(code, "failed")
    met[kind] += 1
    errors.add(os.strerror(code))


def end(fd):
    global longest
    client, started = open_at.pop(fd)
    poll.unregister(fd)
    try:
        answer = client.recv(1000)
        took = time.monotonic() - started
        longest = max(longest, took)
        if not answer:
            fail(errno.EPIPE)
        else:
            if met["answered"] == 0:
                print("ready", flush=True)
            met["answered"] += 1
            met["late"] += took > LATE_SECONDS
    except OSError as error:
        fail(error.errno)
    client.close()


started = time.monotonic()
dialled = 0
going = True
while going or open_at:
    now = time.monotonic()
    while going and dialled < (now - started) * rate:
        dial(dialled)
        dialled += 1
    for fd, _ in poll.poll(0.5 / rate):
        if fd == 0:
            going = False
            poll.unregister(0)
        else:
            end(fd)
    for fd, (client, since) in list(open_at.items()):
        if now - since > PATIENCE_SECONDS:
            open_at.pop(fd)
            poll.unregister(fd)
            client.close()
            fail(errno.ETIMEDOUT)

print(json.dumps({**met, "longestMs": round(longest * 1000), "errors": sorted(errors)}), flush=True)
