"""Runs a command and prints its wall time in seconds and its peak memory in MiB as JSON; stdin and stdout are files."""

import json
import resource
import subprocess
import sys
import time

given, taken, *command = sys.argv[1:]
with open(given, "rb") as source, open(taken, "wb") as target:
    start = time.monotonic()
    subprocess.run(command, stdin=source, stdout=target, check=True)
    seconds = time.monotonic() - start
print(json.dumps({"seconds": seconds, "peakMiB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}))
