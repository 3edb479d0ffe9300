// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/message.h"
#include "tests/unit/vectors.h"

// The I_MESSAGEs of tests/vectors/imessage_more.txt: messages, what is to come of them, and the keys
// of those who receive them. A program that cannot go on ends with a message.

struct vectors *corpus_read(void);

// Of enum mikey_quirk: what a section lets its KMS accept.
unsigned corpus_quirks(const struct vector *section);

// A message in memory that ends where it ends, so that the sanitizers see one octet read too many.
struct sample {
	const struct vector *section;
	uint8_t *octets; // malloc()ed: free()
	size_t len;
	unsigned quirks;
};

struct sample sample_read(const struct vector *section);

// The key that the message transports, as its receiver gets it.
void sample_ssv(const struct vectors *corpus, const struct sample *sample,
	const struct mikey_message *message, uint8_t ssv[16]);
