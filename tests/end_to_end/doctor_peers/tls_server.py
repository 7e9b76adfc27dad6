"""A TLS server as Python has one: a certificate, and no other language. A line for each connection."""

import socket
import ssl
import sys

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    print("accepted", flush=True)
    connection.settimeout(10)
    try:
        context.wrap_socket(connection, server_side=True).close()
    except OSError:
        connection.close()
