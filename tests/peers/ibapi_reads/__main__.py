"""Drives a Gateway with the official Python client through every read request of the API.

    python ibapi_reads HOST PORT [--client-id N] [--deadline SECONDS]

For the simulator with two accounts, and as its first client. Prints one JSON object with what was
seen, and exits 0 only if every check held; `failures` lists those that did not. Every wait has a
deadline. It never places orders.
"""

import argparse
import json
import sys

import accounts
import history
import live
import reference
import services
from peer import Peer, Report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--client-id", type=int, default=7)
    parser.add_argument("--deadline", type=float, default=5.0, help="of each wait, in seconds")
    arguments = parser.parse_args()

    report = Report()
    peer = Peer(arguments.deadline)
    opened = peer.open(arguments.host, arguments.port, arguments.client_id)
    if report.check("connected", opened, opened):
        call = reference.check(peer, report)
        history.check(peer, report)
        live.check(peer, report, call)
        accounts.check(peer, report, arguments.client_id)
        services.check(peer, report)
        report.check("still_connected", None, peer.isConnected())
        peer.disconnect()
    result = {"ok": not report.failures, "failures": report.failures, **report.result}
    print(json.dumps(result, default=str))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
