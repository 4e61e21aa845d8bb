"""Opens TCP connections one after the other and tells how long it took: `SOURCE ADDRESS PORT COUNT` a line in, seconds a line out."""

import socket
import struct
import sys
import time

RESET = struct.pack("ii", 1, 0)

for line in sys.stdin:
    source, address, port, count = line.split()
    target = (address, int(port))
    start = time.monotonic()
    for _ in range(int(count)):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.bind((source, 0))
        client.connect(target)
        client.close()
    print(time.monotonic() - start, flush=True)
