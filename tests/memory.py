"""Peak memory of a piece of code, measured in a process of its own.

From VmHWM: the maximum of `getrusage` survives an exec, so it would be that of the test runner.
"""

import subprocess
import sys

_MEASURE = """
def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
def count(stream):
    total = 0
    while piece := stream.read(1 << 16):
        total += len(piece)
    return total
"""


def extra_mib(preparation: str, measured: str) -> int:
    """MiB by which the peak grows while `measured` runs, after `preparation`; `count` reads a stream to its end."""
    program = f"{_MEASURE}\n{preparation}\nbefore = peak_mib()\n{measured}\nprint(peak_mib() - before)"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)
