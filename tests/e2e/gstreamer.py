# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""GStreamer's srtpenc and srtpdec as peers, run by gst-launch-1.0 in a namespace of the lab."""

import subprocess

import mcx

START_LINE = "PLAYING"


def master(gmk, user, service="mcptt"):
    """Master key and salt of a talker, as GStreamer wants them: one after the other."""
    guk, cs_id = gmk.guk_id(user), mcx.CS_GROUP[service]
    return (mcx.master_key(gmk.value, cs_id, guk, gmk.rand, gmk.suite)
            + mcx.master_salt(gmk.value, cs_id, guk, gmk.rand, mcx.salt_len(gmk.suite)))


def cipher(gmk):
    return {mcx.GCM_128: "aes-128-gcm", mcx.GCM_256: "aes-256-gcm"}.get(gmk.suite, "aes-128-icm")


def auth(gmk):
    return {mcx.CM_80: "hmac-sha1-80", mcx.CM_32: "hmac-sha1-32"}.get(gmk.suite, "null")


def sender(gmk, user, host, port, bind_port, ssrc, seq, packets):
    """A telephone: A-law tone, protected, to host and port. GStreamer knows no RFC 4771: roc_rate must be 0."""
    assert gmk.roc_rate == 0
    name, tag = cipher(gmk), auth(gmk)
    return (f"audiotestsrc num-buffers={packets} ! alawenc ! rtppcmapay ssrc={ssrc} seqnum-offset={seq} ! "
            f"srtpenc key={master(gmk, user).hex()} mki={gmk.group(user).mki.hex()} rtp-cipher={name} rtp-auth={tag} "
            f"rtcp-cipher={name} rtcp-auth={tag} ! udpsink host={host} port={port} bind-port={bind_port}")


def receiver(gmk, user, host, port, ssrc, out_port):
    """Unprotects what comes to host and port, and sends it in plain to out_port of the same host."""
    assert gmk.roc_rate == 0
    name, tag = cipher(gmk), auth(gmk)
    caps = (f"application/x-srtp,payload=(int)8,ssrc=(uint){ssrc},srtp-key=(buffer){master(gmk, user).hex()},"
            f"mki=(buffer){gmk.group(user).mki.hex()},srtp-cipher=(string){name},srtp-auth=(string){tag},"
            f"srtcp-cipher=(string){name},srtcp-auth=(string){tag}")
    return f"udpsrc address={host} port={port} caps={caps} ! srtpdec ! udpsink host={host} port={out_port}"


def plain_sender(host, port, bind_port, ssrc, packets):
    """The same in plain with the reports of an RTP session, and its BYE, muxed (RFC 5761)."""
    return (f"rtpbin name=session audiotestsrc num-buffers={packets} ! alawenc ! rtppcmapay ssrc={ssrc} ! "
            f"session.send_rtp_sink_0 session.send_rtp_src_0 ! funnel name=mux session.send_rtcp_src_0 ! mux. "
            f"mux. ! udpsink host={host} port={port} bind-port={bind_port} sync=false async=false")


class Pipeline:
    """A pipeline that runs until it is closed; ready when the constructor returns."""

    def __init__(self, lab, side, text):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.namespace(side), "setpriv", "--pdeathsig", "KILL", "gst-launch-1.0",
             *text.split()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        log = []
        for line in self.process.stdout:
            log.append(line)
            if START_LINE in line:
                return
        raise RuntimeError(f"the pipeline ended: {''.join(log)}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.stdout.close()
        self.process.wait()
