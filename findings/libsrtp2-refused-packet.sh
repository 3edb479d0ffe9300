#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# libsrtp2 2.5.0 (Debian 12) and 2.7.0 (Debian 13), NSS: srtp_unprotect() decrypts AES-GCM in place before it knows
# whether the tag is right. A packet that it refuses is spoilt: whoever then corrects the ROC (or the key) and tries the
# same buffer again is refused for ever, although the packet is good. With AES-CM and HMAC-SHA1 the tag comes first
# and the buffer is left alone, so code that was written and tested with those profiles loses packets with AES-GCM.
#
# What happens here: one packet, protected at ROC 1, is given to a receiver at ROC 0, which has to refuse it. The
# receiver's ROC is set to 1 and it gets the same buffer, then a copy of the packet as it was sent.
#
# What follows: keep a copy of a packet for as long as it may be tried again.

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root bookworm libsrtp2-dev=2.5.0-3 gcc libc6-dev

cat >"$root/tmp/retry.c" <<'END'
#include <srtp2/srtp.h>
#include <stdio.h>
#include <string.h>

enum { SSRC = 0x5eed0001, HEADER = 12, PAYLOAD = 160, LEN = HEADER + PAYLOAD, SIZE = LEN + SRTP_MAX_TRAILER_LEN };

static srtp_t session(void (*profile)(srtp_crypto_policy_t *), unsigned roc)
{
	static unsigned char key[SRTP_MAX_KEY_LEN] = "a key that is no secret at all";
	srtp_policy_t policy = {.ssrc = {.type = ssrc_specific, .value = SSRC}, .key = key};
	srtp_t session = NULL;
	profile(&policy.rtp);
	profile(&policy.rtcp);
	srtp_create(&session, &policy);
	srtp_set_stream_roc(session, SSRC, roc);
	return session;
}

static const char *word(srtp_err_status_t status)
{
	return status == srtp_err_status_ok ? "ok" : status == srtp_err_status_auth_fail ? "auth_fail" : "other";
}

static srtp_err_status_t unprotect(srtp_t receiver, unsigned char *packet, int len)
{
	return srtp_unprotect(receiver, packet, &len);
}

static void run(const char *name, void (*profile)(srtp_crypto_policy_t *))
{
	unsigned char sent[SIZE] = {0x80, 0, 0, 1, [8] = 0x5e, 0xed, 0x00, 0x01}, buffer[SIZE], copy[SIZE];
	int len = LEN;
	srtp_t sender = session(profile, 1), receiver = session(profile, 0);
	srtp_protect(sender, sent, &len);
	memcpy(buffer, sent, SIZE);
	memcpy(copy, sent, SIZE);
	printf("%s: at ROC 0 %s, ", name, word(unprotect(receiver, buffer, len)));
	printf("buffer %s, ", memcmp(buffer, sent, SIZE) ? "spoilt" : "untouched");
	srtp_set_stream_roc(receiver, SSRC, 1);
	printf("again at ROC 1 %s, ", word(unprotect(receiver, buffer, len)));
	receiver = session(profile, 1);
	printf("a copy at ROC 1 %s\n", word(unprotect(receiver, copy, len)));
}

int main(void)
{
	srtp_init();
	run("AES-GCM", srtp_crypto_policy_set_aes_gcm_128_16_auth);
	run("AES-CM", srtp_crypto_policy_set_rtp_default);
	return 0;
}
END
chroot "$root" sh -c 'gcc -o /tmp/retry /tmp/retry.c -lsrtp2 && /tmp/retry' | finding_expect \
	"AES-GCM: at ROC 0 auth_fail, buffer spoilt, again at ROC 1 auth_fail, a copy at ROC 1 ok
AES-CM: at ROC 0 auth_fail, buffer untouched, again at ROC 1 ok, a copy at ROC 1 ok"
