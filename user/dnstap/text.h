/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing text into a buffer of fixed size. What does not fit sets `failed` and writes nothing,
 * and so does all that follows: a line is written whole and asked about once. Pure; one thread.
 */
#ifndef DNSTAP_TEXT_H
#define DNSTAP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TEXT_NAME_MAX = 255 * 4,    /* of a name: each byte at most \DDD, each length a dot */
	TEXT_JSON_FACTOR = 6,       /* a byte in a JSON string: at most \u00XX */
};

struct text {
	char *at, *end;
	bool failed;
};

static inline struct text text_over(char *buffer, size_t size)
{
	return (struct text){.at = buffer, .end = buffer + size};
}

void text_bytes(struct text *text, const void *bytes, size_t len);
void text_string(struct text *text, const char *string);
void text_char(struct text *text, char c);
/* Decimal; with at least so many digits. */
void text_number(struct text *text, uint64_t number, unsigned digits);

/* 4 or 16 bytes; RFC 5952, but for IPv4-mapped addresses, which Go writes as IPv4. */
void text_address(struct text *text, const uint8_t *address, size_t len);

/*
 * An uncompressed wire-format name as golang-dnstap writes it: the dot at the end, \DDD for what
 * is not printable ASCII, a backslash before what means something in a zone file. False, and
 * nothing written, when the bytes are not one name.
 */
bool text_name(struct text *text, const uint8_t *name, size_t len);

/* Wall ns as 2026-01-31T23:59:59.123456789Z, without zeros at the end of the fraction. */
void text_time_utc(struct text *text, uint64_t wall);
/* Wall ns as 23:59:59.123456 in the zone that tzset() found. */
void text_time_local(struct text *text, uint64_t wall);

/* A JSON string with its quotes, in ASCII; bytes that are not UTF-8 become U+FFFD. */
void text_json_string(struct text *text, const void *bytes, size_t len);
/* RFC 4648, 4, with padding. */
void text_base64(struct text *text, const uint8_t *bytes, size_t len);

bool text_is_utf8(const uint8_t *bytes, size_t len);

#endif
