"""Runs a command and prints the CPU time and the wall time that it and its children took, in milliseconds, as JSON.

    run-timed.py STDIN COMMAND...
"""

import json
import resource
import subprocess
import sys
import time

given, *command = sys.argv[1:]


def used():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# Whoever wraps python3 in a script may have had children in this process before.
before = used()
with open(given, "rb") as source:
    start = time.monotonic()
    subprocess.run(command, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wall = time.monotonic() - start
print(json.dumps({"cpuMs": (used() - before) * 1000, "wallMs": wall * 1000}))
