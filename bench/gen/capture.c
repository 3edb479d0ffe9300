// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/capture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/gen/source.h"

enum {
	PCAP_MAGIC_NS = 0xa1b23c4d, // times in nanoseconds
	PCAP_SNAP_LEN = 65535,
	PCAP_ETHERNET = 1,
};

struct pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap_len, link_type;
};

struct pcap_record {
	uint32_t seconds, nanoseconds, captured_len, len;
};

static bool frame_write(FILE *file, const uint8_t *frame, uint16_t len, uint64_t ns)
{
	struct pcap_record record = {
		.seconds = (uint32_t)(ns / 1000000000),
		.nanoseconds = (uint32_t)(ns % 1000000000),
		.captured_len = len,
		.len = len,
	};
	return fwrite(&record, sizeof(record), 1, file) == 1 && fwrite(frame, len, 1, file) == 1;
}

static bool frames_write(struct source *source, FILE *file)
{
	static const struct pcap_header header = {
		.magic = PCAP_MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snap_len = PCAP_SNAP_LEN,
		.link_type = PCAP_ETHERNET,
	};
	const struct gen_options *options = source->calls->options;
	double step_ns = options->rate > 0 ? 1e9 / options->rate : 0;
	if (fwrite(&header, sizeof(header), 1, file) != 1)
		return false;
	for (uint64_t i = 0; i < options->packets; i++) {
		uint8_t frame[SOURCE_FRAME_MAX];
		uint16_t len = source_frame(source, source_draw(source), frame);
		if (len == 0 || !frame_write(file, frame, len, (uint64_t)((double)i * step_ns)))
			return false;
	}
	return true;
}

bool capture_write(struct gen_calls *calls)
{
	static const struct rte_ether_addr own = {{2, 0, 0, 0, 0, 2}},
					   everybody = {{255, 255, 255, 255, 255, 255}};
	const struct gen_options *options = calls->options;
	const struct rte_ether_addr *relay = &options->in.relay_mac;
	struct source source;
	FILE *file = fopen(options->pcap, "wb");
	source_init(&source, calls, &own, rte_is_zero_ether_addr(relay) ? &everybody : relay);
	bool good = file && frames_write(&source, file);
	if (file && fclose(file) != 0)
		good = false;
	if (!good)
		fprintf(stderr, "mcxgen: %s: %s\n", options->pcap, strerror(errno));
	return good;
}
