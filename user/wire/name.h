/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uncompressed domain names in wire format: labels, each behind its length, and the root's 0. Pure,
 * and nothing is copied or allocated. Compared without case (RFC 4343): ASCII letters only.
 */
#ifndef WIRE_NAME_H
#define WIRE_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/dns.h"

/* True when suffix is name or one of its parents: whole labels only. Both are well-formed. */
bool name_is_below(
	const uint8_t *name, uint32_t name_len, const uint8_t *suffix, uint32_t suffix_len);

/*
 * From the text of a zone file (RFC 1035, 5.1: "\." is a dot in a label, "\DDD" a byte; the last
 * dot may be missing, "." is the root) to the wire. Returns the length, 0 for what is no name.
 * Bytes beyond ASCII are none: an internationalised name is written as its A-labels (xn--...).
 */
uint32_t name_from_text(const char *text, uint8_t name[static DNS_NAME_MAX]);

#endif
