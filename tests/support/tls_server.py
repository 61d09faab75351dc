"""TLS with the test's own authority: a proxy that inspects what passes through it, and a server that answers.

Usage: python3 tls_server.py HOST DIRECTORY

DIRECTORY has the authority, ca.pem and ca.key. The port is written to DIRECTORY/port, and what came to DIRECTORY/log:
`opened NAME` where the client trusted the certificate, `refused NAME` where it did not. A CONNECT is answered as an
inspecting proxy does: the client's TLS ends here, and what it says goes on to the real server by TLS of its own. Any
other connection is a plain TLS client of HOST itself and gets `hello`.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

HOST, DIRECTORY = sys.argv[1], Path(sys.argv[2])
LOCK = threading.Lock()


def log(line: str) -> None:
    with LOCK, (DIRECTORY / "log").open("a") as file:
        file.write(line + "\n")


def context(name: str) -> ssl.SSLContext:
    """A server's context with a certificate for this name or address, made when it is first asked for."""
    key, request, certificate = (DIRECTORY / f"{name}.{end}" for end in ("key", "csr", "pem"))
    with LOCK:
        if not certificate.exists():
            kind = "IP" if name.replace(".", "").isdigit() else "DNS"
            extension = DIRECTORY / f"{name}.ext"
            # Strict clients want the identifiers too.
            identifiers = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            extension.write_text(f"subjectAltName={kind}:{name}\nbasicConstraints=CA:FALSE\n{identifiers}")
            for words in (
                ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", key, "-out", request],
                ["x509", "-req", "-days", "2", "-in", request, "-CA", DIRECTORY / "ca.pem", "-CAkey",
                 DIRECTORY / "ca.key", "-CAcreateserial", "-extfile", extension, "-out", certificate],
            ):  # fmt: skip
                subprocess.run(["openssl", *words], check=True, capture_output=True)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


def pump(source: ssl.SSLSocket, target: ssl.SSLSocket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def accept(raw: socket.socket, name: str) -> ssl.SSLSocket | None:
    made = context(name)
    try:
        client = made.wrap_socket(raw, server_side=True)
        # In TLS 1.3 the client's refusal comes after the handshake: with what it says first.
        client.setblocking(True)
    except (ssl.SSLError, OSError):
        log(f"refused {name}")
        return None
    return client


def inspect(raw: socket.socket) -> None:
    """What follows a CONNECT."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = raw.recv(4096)
        if not data:
            return
        head += data
    name, port = head.split()[1].decode().rsplit(":", 1)
    raw.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    client = accept(raw, name)
    if client is None:
        return
    try:
        first = client.recv(65536)
    except OSError:
        first = b""
    if not first:
        log(f"refused {name}")
        return
    log(f"opened {name}")
    plain = socket.create_connection((name, int(port)), timeout=60)
    server = ssl.create_default_context().wrap_socket(plain, server_hostname=name)
    server.settimeout(None)
    server.sendall(first)
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def answer(raw: socket.socket) -> None:
    client = accept(raw, HOST)
    if client is None:
        return
    try:
        if client.recv(65536):
            log(f"opened {HOST}")
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            client.shutdown(socket.SHUT_RDWR)
    except OSError:
        log(f"refused {HOST}")


def serve(raw: socket.socket) -> None:
    with raw:
        # A TLS record of the handshake starts with 22; everything else is for the proxy.
        first = raw.recv(1, socket.MSG_PEEK)
        (answer if first == b"\x16" else inspect)(raw)


listener = socket.create_server((HOST, 0))
port = DIRECTORY / "port.half"
port.write_text(str(listener.getsockname()[1]))
port.rename(DIRECTORY / "port")
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
