/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walking over the sections of a DNS message (RFC 1035, 4.1) with a cursor: over its questions,
 * then record by record. Nothing is decompressed. A record takes at least 11 bytes, so the walk
 * ends after at most as many steps as the message is long, whatever its counts say; where it fails
 * the cursor says so and stays failed. Pure.
 */
#ifndef WIRE_SECTIONS_H
#define WIRE_SECTIONS_H

#include "base/cursor.h"
#include "wire/dns.h"

/* What stands before a record's data. */
struct sections_record {
	uint32_t owner; /* offset of its name in the message */
	uint16_t type, class;
	uint32_t ttl;
};

/* A cursor behind the questions. */
struct cursor sections_open(const struct dns *dns);

/* Leaves the cursor behind the next record; ret is whole unless the cursor failed. */
void sections_next(const struct dns *dns, struct cursor *c, struct sections_record *ret);

/* Leaves the cursor behind so many records. */
void sections_skip(const struct dns *dns, struct cursor *c, unsigned records);

#endif
