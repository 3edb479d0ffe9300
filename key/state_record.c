// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/state_record.h"

#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/hmac.h"
#include "crypto/srtp.h"

// All numbers are big-endian. What is not written is zero, and checked as the rest is.
enum {
	AT_GENERATION = 8, // after the magic
	AT_SSRC_KEY = 16,
	AT_SSRC_NEXT = 48,
	AT_SRTCP_NEXT = 52,
	AT_INODE = 56,
	AT_BORN_S = 64,
	AT_BORN_NS = 72,
	AT_MACHINE = 76,
	AT_CHECKSUM = STATE_RECORD_LEN - HMAC_SHA256_LEN,
	// Files of an older version: magic, then one number, the one of SSRCs after their key.
	OLD_SSRC_LEN = 44,
	OLD_SSRC_KEY = 8,
	OLD_SSRC_NEXT = 40,
	OLD_SRTCP_LEN = 12,
	OLD_SRTCP_NEXT = 8,
	MAGIC_LEN = 8,
};

static const uint8_t magic[MAGIC_LEN] = {'m', 'c', 'x', 's', 't', 'a', 't', '2'};
static const uint8_t old_ssrc_magic[MAGIC_LEN] = {'m', 'c', 'x', 's', 's', 'r', 'c', '1'};
static const uint8_t old_srtcp_magic[MAGIC_LEN] = {'m', 'c', 'x', 's', 'r', 't', 'c', 'p'};

static void write64(uint8_t *to, uint64_t value)
{
	srtp_write32(to, (uint32_t)(value >> 32));
	srtp_write32(to + 4, (uint32_t)value);
}

static uint64_t read64(const uint8_t *from)
{
	return (uint64_t)srtp_read32(from) << 32 | srtp_read32(from + 4);
}

// Against what disks and operators do, not against forgery: its key is the magic.
static int record_checksum(const uint8_t *octets, uint8_t out[HMAC_SHA256_LEN])
{
	struct hmac_part part = {octets, AT_CHECKSUM};
	return hmac_sha256(magic, sizeof(magic), &part, 1, out);
}

int state_record_encode(const struct state_record *record, uint8_t out[STATE_RECORD_LEN])
{
	memset(out, 0, STATE_RECORD_LEN);
	memcpy(out, magic, sizeof(magic));
	write64(out + AT_GENERATION, record->generation);
	memcpy(out + AT_SSRC_KEY, record->ssrc_key, sizeof(record->ssrc_key));
	srtp_write32(out + AT_SSRC_NEXT, record->ssrc_next);
	srtp_write32(out + AT_SRTCP_NEXT, record->srtcp_next);
	write64(out + AT_INODE, record->identity.inode);
	write64(out + AT_BORN_S, (uint64_t)record->identity.born_s);
	srtp_write32(out + AT_BORN_NS, record->identity.born_ns);
	memcpy(out + AT_MACHINE, record->identity.machine, STATE_MACHINE_LEN);
	return record_checksum(out, out + AT_CHECKSUM) == 0 ? 0 : -EIO;
}

static enum state_format decode_old(const uint8_t *octets, size_t len, struct state_record *record)
{
	if (len == OLD_SSRC_LEN && memcmp(octets, old_ssrc_magic, MAGIC_LEN) == 0) {
		memcpy(record->ssrc_key, octets + OLD_SSRC_KEY, sizeof(record->ssrc_key));
		record->ssrc_next = srtp_read32(octets + OLD_SSRC_NEXT);
		return STATE_OLD_SSRC;
	}
	if (len == OLD_SRTCP_LEN && memcmp(octets, old_srtcp_magic, MAGIC_LEN) == 0) {
		record->srtcp_next = srtp_read32(octets + OLD_SRTCP_NEXT);
		return STATE_OLD_SRTCP;
	}
	return STATE_NO_RECORD;
}

enum state_format state_record_decode(
	const uint8_t *octets, size_t len, struct state_record *record)
{
	uint8_t checksum[HMAC_SHA256_LEN];
	*record = (struct state_record){};
	if (len != STATE_RECORD_LEN)
		return decode_old(octets, len, record);
	if (record_checksum(octets, checksum) != 0 ||
		memcmp(checksum, octets + AT_CHECKSUM, sizeof(checksum)) != 0 ||
		memcmp(octets, magic, sizeof(magic)) != 0)
		return STATE_NO_RECORD;
	record->generation = read64(octets + AT_GENERATION);
	memcpy(record->ssrc_key, octets + AT_SSRC_KEY, sizeof(record->ssrc_key));
	record->ssrc_next = srtp_read32(octets + AT_SSRC_NEXT);
	record->srtcp_next = srtp_read32(octets + AT_SRTCP_NEXT);
	record->identity.inode = read64(octets + AT_INODE);
	record->identity.born_s = (int64_t)read64(octets + AT_BORN_S);
	record->identity.born_ns = srtp_read32(octets + AT_BORN_NS);
	memcpy(record->identity.machine, octets + AT_MACHINE, STATE_MACHINE_LEN);
	return STATE_RECORD;
}
