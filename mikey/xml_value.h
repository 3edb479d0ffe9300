// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/xml.h"

// Values in the text of elements. An element that has a value has no elements; white space around
// the value is none of it. Functions on memory, any thread.

enum {
	XML_STRING_MAX = 255, // octets
	XML_TIME_SIZE = 21    // octets of a time that is written, with its NUL
};

#define XML_TIME_END UINT64_C(253402300800) // the first second of the year 10000

// The text of an element, for secmem_free(); NULL with *fault filled in.
char *xml_text(const xmlNode *element, struct mikey_fault *fault);

// Octets as base64, at most room of them. Returns how many; 0 with *fault filled in.
size_t xml_base64(const xmlNode *element, uint8_t *out, size_t room, struct mikey_fault *fault);

// Exactly len octets, as hex or as base64.
bool xml_octets(const xmlNode *element, uint8_t *out, size_t len, struct mikey_fault *fault);

xml_reader xml_read_uri;     // char **, malloc()ed: 1 to 255 octets, no white space
xml_reader xml_read_string;  // char **, malloc()ed: at most XML_STRING_MAX octets
xml_reader xml_read_time;    // uint64_t *: seconds since 1970-01-01T00:00:00Z, at least 1
xml_reader xml_read_boolean; // bool *
xml_reader xml_read_uint32;  // uint32_t *
xml_reader xml_read_uint64;  // uint64_t *
xml_reader xml_read_ignored; // the element is known; what it says is not asked

// A time in UTC, in seconds since 1970-01-01T00:00:00Z. False if it is not before XML_TIME_END.
bool xml_time_write(uint64_t seconds, char text[XML_TIME_SIZE]);
