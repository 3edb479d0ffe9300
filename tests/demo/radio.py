#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
"""A GStreamer radio: one UDP address that records what it hears and speaks when told to.

Standard input, one line each: first a JSON object with the keys, then commands.
    {"speak": {"key": HEX, "mki": HEX} | null, "hear": [{"key": HEX, "mki": HEX}, ...]}
    speak FILE.wav | count | stop
Each line is answered by one JSON object on standard output.

The keys are SRTP master key || master salt (28 octets) of AEAD_AES_128_GCM (RFC 7714). They
come by standard input because a command line is there for every user to read. Without `hear`
keys the packets are taken as plain RTP.
"""

import argparse
import json
import signal
import sys
from collections import Counter

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

CLOCK_RATE = 8000
PACKET_TIME_NS = 20_000_000
RTP_FIELDS = (
    "media=(string)audio,encoding-name=(string)PCMA," f"payload=(int)8,clock-rate=(int){CLOCK_RATE}"
)
STOP_TIMEOUT_NS = 5 * Gst.SECOND


def address_split(text):
    """`192.0.2.1:5004` or `[2001:db8::1]:5004` as host and port."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def caps_make(keys):
    """What srtpdec needs to know of a stream: every key it may be protected with, by MKI."""
    fields = [
        "application/x-srtp,srtp-cipher=(string)aes-128-gcm,srtp-auth=(string)null",
        "srtcp-cipher=(string)aes-128-gcm,srtcp-auth=(string)null",
    ]
    for number, pair in enumerate(keys, start=1):
        suffix = "" if number == 1 else str(number)
        fields.append(f"srtp-key{suffix}=(buffer){pair['key']}")
        fields.append(f"mki{suffix}=(buffer){pair['mki']}")
    return Gst.Caps.from_string(",".join(fields))


def pipeline_play(pipeline):
    """Start a pipeline; a socket that cannot be bound shows here."""
    if pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
        raise RuntimeError(error_take(pipeline) or "the pipeline does not start")


def error_take(pipeline):
    """The text of a pending error, without what the pipeline description contains."""
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    return message.parse_error()[0].message if message else None


def eos_wait(pipeline, timeout=Gst.CLOCK_TIME_NONE):
    """Wait until everything has passed through the pipeline."""
    wanted = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(timeout, wanted)
    if message is None:
        raise RuntimeError("the pipeline does not end")
    if message.type == Gst.MessageType.ERROR:
        raise RuntimeError(message.parse_error()[0].message)


def packets_count(pad, packets):
    """Count the RTP packets that pass a pad, per SSRC (RFC 3550 clause 5.1: octets 8 to 11)."""

    def packet_passed(_pad, info):
        buffer = info.get_buffer()
        packets[int.from_bytes(buffer.extract_dup(8, 4), "big")] += 1
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER, packet_passed)


class Ear:
    """Receives on one address and records everything it could unprotect, in order."""

    def __init__(self, listen, record, keys):
        host, port = address_split(listen)
        kind = "application/x-srtp" if keys else "application/x-rtp"
        unprotect = "srtpdec name=unprotect replay-window-size=1024 !" if keys else ""
        self.heard = Counter()
        self.pipeline = Gst.parse_launch(
            f'udpsrc name=source address="{host}" port={port} caps="{kind},{RTP_FIELDS}" ! '
            f"{unprotect} rtppcmadepay name=depay ! alawdec ! "
            f"audio/x-raw,rate={CLOCK_RATE},channels=1 ! wavenc ! "
            f'filesink location="{record}" async=false'
        )
        if keys:
            # No one can know the SSRC of media that entered the relay in plain, so srtpdec asks
            # for each SSRC it meets; the MKI then picks the key, and the tag decides.
            caps = caps_make(keys)
            self.pipeline.get_by_name("unprotect").connect("request-key", lambda _e, _ssrc: caps)
        packets_count(self.pipeline.get_by_name("depay").get_static_pad("sink"), self.heard)
        pipeline_play(self.pipeline)
        self.socket = self.pipeline.get_by_name("source").get_property("used-socket")

    def stop(self):
        self.pipeline.send_event(Gst.Event.new_eos())
        eos_wait(self.pipeline, STOP_TIMEOUT_NS)
        self.pipeline.set_state(Gst.State.NULL)


def speech_send(wav, to, socket, key):
    """Speak a WAV file in real time from the ear's own socket; returns packets per SSRC."""
    host, port = address_split(to)
    protect = ""
    if key:
        protect = (
            f"srtpenc key={key['key']} mki={key['mki']} rtp-cipher=aes-128-gcm rtp-auth=null "
            "rtcp-cipher=aes-128-gcm rtcp-auth=null !"
        )
    pipeline = Gst.parse_launch(
        f'filesrc location="{wav}" ! wavparse ! audioconvert ! audioresample ! '
        f"audio/x-raw,rate={CLOCK_RATE},channels=1 ! alawenc ! "
        f"rtppcmapay min-ptime={PACKET_TIME_NS} max-ptime={PACKET_TIME_NS} ! {protect} "
        f'udpsink name=sink host="{host}" port={port} close-socket=false'
    )
    sink = pipeline.get_by_name("sink")
    sink.set_property("socket-v6" if ":" in host else "socket", socket)
    sent = Counter()
    packets_count(sink.get_static_pad("sink"), sent)
    pipeline_play(pipeline)
    try:
        eos_wait(pipeline)
    finally:
        pipeline.set_state(Gst.State.NULL)
    return sent


def reply(**members):
    print(json.dumps(members), flush=True)


def commands_serve(ear, to, key):
    """Answer commands until told to stop or until whoever commands is gone."""
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "speak":
            reply(spoken=speech_send(argument, to, ear.socket, key))
        elif command == "count":
            reply(heard=ear.heard)
        elif command == "stop":
            ear.stop()
            reply(stopped=True, error=error_take(ear.pipeline))
            return
        else:
            reply(error=f"unknown command {command}")


def main():
    parser = argparse.ArgumentParser(description="a GStreamer radio, commanded by standard input")
    parser.add_argument("--listen", required=True, help="address:port to receive on and send from")
    parser.add_argument("--to", required=True, help="address:port to speak to")
    parser.add_argument("--record", required=True, help="WAV file for everything heard")
    args = parser.parse_args()
    # Ctrl-C reaches the whole terminal; a radio ends when standard input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keys = json.loads(sys.stdin.readline())
    Gst.init(None)
    try:
        ear = Ear(args.listen, args.record, keys["hear"])
        reply(ready=True)
        commands_serve(ear, args.to, keys["speak"])
    except RuntimeError as error:
        reply(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
