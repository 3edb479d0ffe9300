// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libsrtp2 as the peer of the end-to-end tests, one request a line on stdin, one answer a line on
// stdout:
//
//   libsrtp_peer SUITE MASTER_KEY MASTER_SALT MKI SSRC ROC
//   > protect HEX            < ok HEX
//   > unprotect HEX          < err auth_fail
//
// SUITE is 128 or 256 (AES-GCM), cm80 or cm32 (AES-CM); MKI may be "-", numbers are hexadecimal. ROC is where the stream begins.
// libsrtp2 knows no RFC 4771: the caller cuts off and appends the ROC octets.

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

enum {
	MASTER_SALT_MAX = 14, // octets, RFC 3711 8.2
	PACKET_MAX = 4096,
	LINE_MAX_LEN = 2 * PACKET_MAX + 64,
};

// One direction: libsrtp2 wants a session of its own for what is sent and what is received.
struct direction {
	srtp_t session;
	bool has_mki;
};

struct suite {
	const char *name;
	int key_len, salt_len; // octets
	void (*set_rtp)(srtp_crypto_policy_t *policy);
	void (*set_rtcp)(srtp_crypto_policy_t *policy);
};

struct peer {
	uint8_t master[32 + MASTER_SALT_MAX];
	uint8_t mki[SRTP_MAX_MKI_LEN];
	unsigned mki_len;
	const struct suite *suite;
	uint32_t ssrc;
	uint32_t roc;
	struct direction out, in;
};

static const struct suite suites[] = {
	{"128", 16, 12, srtp_crypto_policy_set_aes_gcm_128_16_auth,
		srtp_crypto_policy_set_aes_gcm_128_16_auth},
	{"256", 32, 12, srtp_crypto_policy_set_aes_gcm_256_16_auth,
		srtp_crypto_policy_set_aes_gcm_256_16_auth},
	{"cm80", 16, 14, srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default},
	{"cm32", 16, 14, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
		srtp_crypto_policy_set_rtcp_default},
};

struct command {
	const char *name;
	srtp_err_status_t (*run)(struct peer *peer, uint8_t *packet, int *len);
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

// Octets read, or -EINVAL.
static int hex_read(const char *text, uint8_t *out, size_t size)
{
	size_t len = strlen(text);
	if (len % 2 != 0 || len / 2 > size)
		return -EINVAL;
	for (size_t i = 0; i < len / 2; i++) {
		int high = hex_digit(text[2 * i]);
		int low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return (int)(len / 2);
}

static const char *status_name(srtp_err_status_t status)
{
	switch (status) {
	case srtp_err_status_auth_fail:
		return "auth_fail";
	case srtp_err_status_replay_fail:
		return "replay_fail";
	case srtp_err_status_replay_old:
		return "replay_old";
	case srtp_err_status_bad_mki:
		return "bad_mki";
	case srtp_err_status_bad_param:
		return "bad_param";
	case srtp_err_status_parse_err:
		return "parse_err";
	case srtp_err_status_no_ctx:
		return "no_ctx";
	case srtp_err_status_key_expired:
		return "key_expired";
	default:
		return "fail";
	}
}

static srtp_err_status_t run_protect(struct peer *peer, uint8_t *packet, int *len)
{
	return srtp_protect_mki(peer->out.session, packet, len, peer->out.has_mki, 0);
}

static srtp_err_status_t run_unprotect(struct peer *peer, uint8_t *packet, int *len)
{
	return srtp_unprotect_mki(peer->in.session, packet, len, peer->in.has_mki);
}

static srtp_err_status_t run_protect_rtcp(struct peer *peer, uint8_t *packet, int *len)
{
	return srtp_protect_rtcp_mki(peer->out.session, packet, len, peer->out.has_mki, 0);
}

static srtp_err_status_t run_unprotect_rtcp(struct peer *peer, uint8_t *packet, int *len)
{
	return srtp_unprotect_rtcp_mki(peer->in.session, packet, len, peer->in.has_mki);
}

static const struct command commands[] = {
	{"protect", run_protect},
	{"unprotect", run_unprotect},
	{"protect_rtcp", run_protect_rtcp},
	{"unprotect_rtcp", run_unprotect_rtcp},
};

static srtp_err_status_t direction_open(struct direction *direction, struct peer *peer)
{
	srtp_master_key_t key = {
		.key = peer->master, .mki_id = peer->mki, .mki_size = peer->mki_len};
	srtp_master_key_t *keys[] = {&key};
	srtp_policy_t policy = {
		.ssrc = {.type = ssrc_specific, .value = peer->ssrc}, .window_size = 1024};
	peer->suite->set_rtp(&policy.rtp);
	peer->suite->set_rtcp(&policy.rtcp);
	if (peer->mki_len > 0) {
		policy.keys = keys;
		policy.num_master_keys = 1;
	} else {
		policy.key = peer->master;
	}
	direction->has_mki = peer->mki_len > 0;
	srtp_err_status_t status = srtp_create(&direction->session, &policy);
	if (status != srtp_err_status_ok || peer->roc == 0)
		return status;
	return srtp_set_stream_roc(direction->session, peer->ssrc, peer->roc);
}

static int arguments_read(struct peer *peer, char *argv[])
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (strcmp(argv[1], suites[i].name) == 0)
			peer->suite = &suites[i];
	}
	if (!peer->suite || hex_read(argv[2], peer->master, 32) != peer->suite->key_len)
		return -EINVAL;
	if (hex_read(argv[3], peer->master + peer->suite->key_len, MASTER_SALT_MAX) !=
		peer->suite->salt_len)
		return -EINVAL;
	int mki_len =
		strcmp(argv[4], "-") == 0 ? 0 : hex_read(argv[4], peer->mki, sizeof(peer->mki));
	if (mki_len < 0)
		return -EINVAL;
	peer->mki_len = (unsigned)mki_len;
	peer->ssrc = (uint32_t)strtoul(argv[5], NULL, 16);
	peer->roc = (uint32_t)strtoul(argv[6], NULL, 16);
	return 0;
}

static void line_answer(struct peer *peer, char *line)
{
	// libsrtp2 writes 32-bit words into the packet
	_Alignas(8) uint8_t packet[PACKET_MAX + SRTP_MAX_TRAILER_LEN + SRTP_MAX_MKI_LEN + 4];
	char *hex = strchr(line, ' ');
	srtp_err_status_t status = srtp_err_status_bad_param;
	int len = -EINVAL;
	if (hex) {
		*hex++ = '\0';
		len = hex_read(hex, packet, PACKET_MAX);
	}
	for (size_t i = 0; len >= 0 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(line, commands[i].name) == 0)
			status = commands[i].run(peer, packet, &len);
	}
	if (status != srtp_err_status_ok) {
		printf("err %s\n", status_name(status));
		return;
	}
	printf("ok ");
	for (int i = 0; i < len; i++)
		printf("%02x", packet[i]);
	printf("\n");
}

int main(int argc, char *argv[])
{
	static char line[LINE_MAX_LEN];
	struct peer peer = {0};
	if (argc != 7 || arguments_read(&peer, argv) < 0) {
		fprintf(stderr, "usage: libsrtp_peer 128|256|cm80|cm32 MASTER_KEY MASTER_SALT "
				"MKI|- SSRC ROC\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (srtp_init() != srtp_err_status_ok ||
		direction_open(&peer.out, &peer) != srtp_err_status_ok ||
		direction_open(&peer.in, &peer) != srtp_err_status_ok) {
		printf("err init\n");
		return 1;
	}
	printf("ok\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		line_answer(&peer, line);
	}
	srtp_dealloc(peer.out.session);
	srtp_dealloc(peer.in.session);
	srtp_shutdown();
	return 0;
}
