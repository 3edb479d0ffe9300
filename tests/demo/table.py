# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
"""The table of a session's legs and their counters, live in a terminal, now and then elsewhere."""

import sys
import threading

REFRESH_TERMINAL = 0.25  # seconds
REFRESH_LOG = 3.0
COLUMNS = "{:<11} {:<5} {:<8} {:>9} {:>9} {:>9} {:>9} {:>6}"
HEADING = COLUMNS.format(
    "leg", "port", "mode", "in pkts", "in octets", "out pkts", "out octets", "drops"
)
CURSOR_UP = "\033[{}A"
LINE_CLEAR = "\033[K"


def counters_of(leg, direction):
    """Packets, octets and drops of one direction of a leg as session.get tells them."""
    counters = leg.get("statistics", {}).get(direction, {})
    drops = sum(counters.get("drops", {}).values())
    return counters.get("packets", 0), counters.get("octets", 0), drops


def leg_line(leg):
    in_packets, in_octets, in_drops = counters_of(leg, "receive")
    out_packets, out_octets, out_drops = counters_of(leg, "send")
    return COLUMNS.format(
        leg["id"],
        leg["port"],
        leg["protection"]["mode"],
        in_packets,
        in_octets,
        out_packets,
        out_octets,
        in_drops + out_drops,
    )


def table_lines(session):
    return [HEADING] + [leg_line(leg) for leg in session["legs"]]


class Table(threading.Thread):
    """Prints the session that `get` returns until stopped; in a terminal in one place."""

    def __init__(self, get, out=sys.stdout):
        super().__init__(daemon=True)
        self.get = get
        self.out = out
        self.live = out.isatty()
        self.ended = threading.Event()
        self.shown = 0

    def show(self, lines):
        if self.live and self.shown:
            self.out.write(CURSOR_UP.format(self.shown))
        end = LINE_CLEAR + "\n" if self.live else "\n"
        self.out.write("".join(f"    {line}{end}" for line in lines))
        self.out.flush()
        self.shown = len(lines)

    def run(self):
        while not self.ended.wait(REFRESH_TERMINAL if self.live else REFRESH_LOG):
            try:
                session = self.get()
            except RuntimeError:
                return  # whoever runs the call notices and says why
            self.show(table_lines(session))

    def stop(self):
        """The last state is always shown."""
        self.ended.set()
        self.join()
        session = self.get()
        self.show(table_lines(session))
        return session
