"""A port check as it is written: connect, wait a moment, close, again and again. Until it is ended."""

import socket
import sys
import threading
import time

host, port = sys.argv[1].split(":")


def check() -> None:
    while True:
        with socket.create_connection((host, int(port))):
            time.sleep(0.4)
        time.sleep(0.1)


for _ in range(3):
    threading.Thread(target=check, daemon=True).start()
print("checking", flush=True)
# Until whoever started this closes our input.
sys.stdin.read()
