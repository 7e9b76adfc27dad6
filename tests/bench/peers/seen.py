"""What a peer saw of a stamped stream: how many ticks, how many are missing, how old they were.

The price of a tick is CLOCK_MONOTONIC in nanoseconds at which it was made, its size a counter of
its line from 1. The first second is warm-up and is not counted.
"""

import json
import time

WARM_UP = 1.0
# Ages of one tick in so many are kept.
SAMPLE = 16


class Seen:
    """Counts while the measured time lasts."""

    def __init__(self, seconds):
        self.begin = time.monotonic() + WARM_UP
        self.end = self.begin + seconds
        self.over = False
        self.received = 0
        self.lost = 0
        # Time on a core since the beginning, of all threads.
        self._core = None
        self._before = {}
        self._ages = []

    def take(self, ticks):
        """Ticks that came together, as (line, price, size); those of one call share a time."""
        now = time.monotonic()
        if now >= self.end:
            self.over = True
            return
        counted = now >= self.begin
        if counted and self._core is None:
            self._core = time.process_time_ns()
        nanos = now * 1e9
        before = self._before
        number = self.received
        for line, price, size in ticks:
            last = before.get(line, size - 1)
            before[line] = size
            if counted:
                if size != last + 1:
                    self.lost += int(size - last - 1)
                if number % SAMPLE == 0:
                    self._ages.append(nanos - price)
                number += 1
        self.received = number

    def tell(self):
        """Prints one line of JSON."""
        core = time.process_time_ns() - (self._core or 0)
        ages = sorted(self._ages) or [0.0]
        part = lambda share: int(ages[int((len(ages) - 1) * share)] / 1000)
        print(
            json.dumps(
                {
                    "received": self.received,
                    "lost": self.lost,
                    "p50_us": part(0.5),
                    "p99_us": part(0.99),
                    "core_ns": core // max(self.received, 1),
                }
            ),
            flush=True,
        )
