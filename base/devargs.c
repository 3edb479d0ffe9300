// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/devargs.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// Drivers of DPDK 22.11 and 24.11 whose number of queues is an argument, 1 by default.
static const struct driver {
	const char *name, *argument;
	bool added; // by the relay: the device has no other end that must have as many
} drivers[] = {
	{"net_af_packet", "qpairs", true},
	{"net_af_xdp", "queue_count", true},
	{"net_vhost", "queues", false},
	{"net_virtio_user", "queues", false},
};

static const struct driver *driver_find(const char *device)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		size_t len = strlen(drivers[i].name);
		if (strncmp(device, drivers[i].name, len) == 0 &&
			strspn(device + len, "0123456789") == strcspn(device + len, ","))
			return &drivers[i];
	}
	return NULL;
}

// What is written behind "NAME=", NULL if the argument is not there.
static const char *argument_find(const char *device, const char *name)
{
	size_t len = strlen(name);
	for (const char *p = strchr(device, ','); p; p = strchr(p + 1, ','))
		if (strncmp(p + 1, name, len) == 0 && p[1 + len] == '=')
			return p + len + 2;
	return NULL;
}

const char *devargs_queues_missing(const char *device)
{
	const struct driver *driver = driver_find(device);
	if (!driver || !driver->added || argument_find(device, driver->argument))
		return NULL;
	return driver->argument;
}

unsigned devargs_frame_size(const char *device)
{
	const struct driver *driver = driver_find(device);
	bool has_frames = driver && strcmp(driver->name, "net_af_packet") == 0;
	const char *value = has_frames ? argument_find(device, "framesz") : NULL;
	return value ? (unsigned)strtoul(value, NULL, 10) : 0;
}

bool devargs_queues(const char *device, const char **name, unsigned *n)
{
	const struct driver *driver = driver_find(device);
	const char *value = driver ? argument_find(device, driver->argument) : NULL;
	if (!driver || (!value && driver->added))
		return false;
	*name = driver->argument;
	*n = value ? (unsigned)strtoul(value, NULL, 10) : 1;
	return true;
}
