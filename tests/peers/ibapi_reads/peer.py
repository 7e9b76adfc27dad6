"""One connection of the official client, and everything that it was called back with."""

import threading
import time

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper


def _recorder(name):
    def record(self, *values, **named):
        self.record(name, *values, *named.values())

    return record


def _is_callback(name):
    """Protobuf twins are left out, except of what has no other form."""
    twin = name.endswith("ProtoBuf") and name != "configResponseProtoBuf"
    return not name.startswith("_") and not twin and callable(getattr(EWrapper, name))


_CALLBACKS = {name: _recorder(name) for name in vars(EWrapper) if _is_callback(name)}

# Every callback of the official wrapper writes down its name and its values.
Recorder = type("Recorder", (EWrapper,), _CALLBACKS)


class Peer(Recorder, EClient):
    """A client that waits for callbacks, each time with a deadline."""

    def __init__(self, deadline):
        self.changed = threading.Condition()
        self.calls = []
        self.deadline = deadline
        self.last_id = 1000
        EClient.__init__(self, wrapper=self)

    def open(self, host, port, client_id):
        """Connects and waits for the next valid id, or for the end."""

        def talk():
            self.connect(host, port, client_id)
            if self.isConnected():
                self.run()
            self.record("ended")

        threading.Thread(target=talk, daemon=True).start()
        self.wait_until(lambda: self.seen("nextValidId") or self.seen("ended"))
        return bool(self.seen("nextValidId"))

    def record(self, name, *values):
        with self.changed:
            self.calls.append((name, values))
            self.changed.notify_all()

    def seen(self, name, *values):
        """Values of all calls of this name whose first values are these."""
        with self.changed:
            calls = list(self.calls)
        return [call[1] for call in calls if call[0] == name and call[1][: len(values)] == values]

    def wait(self, name, *values, count=1, deadline=None):
        """The calls, once there are so many; what there is of them at the deadline."""
        end = time.monotonic() + (deadline or self.deadline)
        while len(found := self.seen(name, *values)) < count:
            with self.changed:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(min(left, 0.2))
        return found

    def wait_until(self, reached):
        """Whether a condition holds before the deadline; it is asked anew at every callback."""
        end = time.monotonic() + self.deadline
        while not reached():
            with self.changed:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.2))
        return True

    def code(self, request_id):
        """Codes of all errors for an id, once there is one."""
        return [call[2] for call in self.wait("error", request_id)]

    def next_id(self):
        self.last_id += 1
        return self.last_id


class Report:
    """What was checked, and how it came out."""

    def __init__(self):
        self.result = {}
        self.failures = []

    def check(self, name, value, held):
        self.result[name] = value
        if not held:
            self.failures.append(name)
        return held


def contract(symbol, sec_type="STK", **more):
    """A contract as an application makes it."""
    made = Contract()
    made.symbol = symbol
    made.secType = sec_type
    made.exchange = "SMART"
    made.currency = "USD"
    for name, value in more.items():
        setattr(made, name, value)
    return made


def option():
    """The last call at 230 of AAPL's chain is found by its details first."""
    return contract("AAPL", "OPT", strike=230.0, right="C")
