# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A client of mcxrelay's control API. Python 3.9, standard library only.

    with Control.unix("/run/mcxrelay/control.sock") as relay:
        print(relay.call("relay.info")["version"])

Methods and types are in docs/schema/control-api.json, errors in docs/errors.md.
"""

import collections
import itertools
import json
import socket
import ssl

METHOD_NOT_FOUND, NOT_FOUND, CONFLICT, LIMIT, KEY_REFUSED, BUSY = -32601, 1, 2, 3, 4, 5


class Refused(Exception):
    """The relay's error: code, message, and the path of the member at fault or None. Nothing was changed."""

    def __init__(self, error):
        self.code, self.message = error["code"], error["message"]
        self.path = error.get("data", {}).get("path")
        super().__init__(f"{self.path or 'request'} {self.message} ({self.code})")


class Control:
    """One connection. Requests are answered in order; events come between answers and wait in a queue."""

    def __init__(self, connected):
        self._socket, self._lines = connected, connected.makefile("rb")
        self._ids, self._events = itertools.count(1), collections.deque()

    @classmethod
    def unix(cls, path):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.connect(path)
        except OSError:
            connected.close()
            raise
        return cls(connected)

    @classmethod
    def tls(cls, host, port, certificate, key, ca):
        """The files are PEM: the client's chain and private key, and who must have signed the relay's certificate."""
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        connected = socket.create_connection((host, port))
        try:
            return cls(context.wrap_socket(connected, server_hostname=host))
        except OSError:
            connected.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self._lines.close()
        self._socket.close()

    def call(self, method, **params):
        """The result of one request."""
        [answer] = self.batch([(method, params)])
        if isinstance(answer, Refused):
            raise answer
        return answer

    def batch(self, calls):
        """Several requests [(method, params)] in one line: the result or the Refused of each. At most 1 MiB of JSON.

        Much faster than one after the other, but no transaction: each succeeds or fails on its own.
        """
        requests = [{"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
                    for method, params in calls]
        self._socket.sendall(json.dumps(requests, separators=(",", ":")).encode() + b"\n")
        answers = self._read()
        while isinstance(answers, dict) and answers.get("method") == "event":
            self._events.append(answers["params"])
            answers = self._read()
        if isinstance(answers, dict):  # the line as a whole was refused
            raise Refused(answers["error"])
        by_id = {answer["id"]: answer for answer in answers}
        return [by_id[request["id"]]["result"] if "result" in by_id[request["id"]]
                else Refused(by_id[request["id"]]["error"]) for request in requests]

    def subscribe(self, *types):
        """Asks for events of these types, or of all, to be read by events(). It replaces what was asked for before."""
        self.call("events.subscribe", **({"types": list(types)} if types else {}))

    def events(self):
        """Each event as it comes, {"type", "time", ...}; waits for the next one. Use a connection of its own for it."""
        while True:
            yield self._events.popleft() if self._events else self._read()["params"]

    def _read(self):
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the relay closed the connection")
        return json.loads(line)
