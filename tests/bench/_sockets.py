"""Idle browsers: opens WebSockets on /live/, answers pings, says nothing.

    python -m tests.bench._sockets PORT COUNT

prints `open <number>` and keeps them until its input is closed; then prints `alive <number>`.
"""

import os
import select
import socket
import sys

HEAD = (
    "GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
PING, PONG, MASKED = 0x89, 0x8A, 0x80


def opened(port: int) -> socket.socket | None:
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(HEAD.format(port=port).encode())
    if b" 101 " not in client.recv(4096).split(b"\r\n")[0]:
        client.close()
        return None
    client.setblocking(False)
    return client


def pongs(data: bytes) -> bytes:
    """Answers to the pings in `data` (the server's frames are short here and come whole)."""
    answer, at = b"", 0
    while at + 2 <= len(data):
        size, begin = data[at + 1] & 0x7F, at + 2
        if size == 126:
            size, begin = int.from_bytes(data[begin : begin + 2]), begin + 2
        if data[at] == PING:
            answer += bytes([PONG, MASKED | size, 0, 0, 0, 0]) + data[begin : begin + size]
        at = begin + size
    return answer


def main(port: int, count: int) -> None:
    sockets: dict[int, socket.socket] = {}
    poll = select.epoll()
    for _ in range(count):
        if client := opened(port):
            sockets[client.fileno()] = client
            poll.register(client.fileno(), select.EPOLLIN)
        pump(poll, sockets, 0)
    print("open", len(sockets), flush=True)
    poll.register(0, select.EPOLLIN | select.EPOLLHUP)
    while pump(poll, sockets, None):
        pass
    print("alive", len(sockets), flush=True)


def pump(poll: select.epoll, sockets: dict[int, socket.socket], timeout: float | None) -> bool:
    """Serve what has come; False when our own input was closed."""
    for number, _ in poll.poll(timeout):
        if number == 0 and not os.read(0, 100):
            return False
        if number and not serve(sockets[number]):
            poll.unregister(number)
            sockets.pop(number).close()
    return True


def serve(client: socket.socket) -> bool:
    """Read what came and answer pings; False when the server has closed."""
    try:
        data = client.recv(65536)
        if answer := pongs(data):
            client.sendall(answer)
    except OSError:
        return False
    return bool(data) and data[0] != 0x88


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
