"""A worker process of its own: tries to sign in so often, and tells how many attempts were let through.

python counting_child.py ADDRESS TIMES
"""

import sys
from datetime import UTC, datetime

from keyturn import throttle
from keyturn._colour import drive

START = datetime(2030, 3, 14, 12, tzinfo=UTC)


def main(address: str, times: int) -> None:
    counted = throttle.open(address)
    attempt = throttle.Attempt("login", START, "default", "192.0.2.7", "alice")
    sys.stdin.readline()  # all begin at once
    sys.stdout.write(f"{sum(drive(counted.admit(attempt)).wait is None for _ in range(times))}\n")
    counted.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
