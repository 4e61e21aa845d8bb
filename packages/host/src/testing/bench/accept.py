"""Accepts TCP connections on every address of the namespace, on the port of large-topology.ts, and closes them."""

import socket

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 8080))
listener.listen(4096)
print("ready", flush=True)
while True:
    listener.accept()[0].close()
