"""A WebSocket client of a few lines (RFC 6455), that can also misbehave."""
import base64
import json
import os
import socket
import struct
import time


class WebSocket:
    def __init__(self, port, path, headers=None, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        fields = {"Host": f"localhost:{port}", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            more = self.socket.recv(4096)
            if not more:
                break
            self.data += more
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])

    def close(self):
        self.socket.close()

    def exactly(self, size):
        while len(self.data) < size:
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def frame(self):
        """(opcode, bytes)"""
        first, second = self.exactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", self.exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.exactly(8))
        return first & 15, self.exactly(size)

    def message(self):
        """A dict of JSON, or bytes; pings are answered, and do not make the wait longer."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            opcode, body = self.frame()
            if opcode == 9:
                self.send(body, 10)
            elif opcode == 8:
                raise EOFError
            elif opcode in (1, 2):
                return json.loads(body) if opcode == 1 else body
        raise TimeoutError("nothing but pings for 60 s")

    def send(self, body, opcode=1, declared=None):
        size = len(body) if declared is None else declared
        length = bytes([128 | size]) if size < 126 else bytes([254]) + struct.pack(">H", size) if size < 1 << 16 else bytes([255]) + struct.pack(">Q", size)
        mask = os.urandom(4)
        self.socket.sendall(bytes([128 | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(body)))
