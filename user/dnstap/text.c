/* SPDX-License-Identifier: BSD-2-Clause */
#include "dnstap/text.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

/* Room for len characters, or NULL. */
static char *take(struct text *text, size_t len)
{
	char *at = text->at;

	if (text->failed || (size_t)(text->end - at) < len) {
		text->failed = true;
		return NULL;
	}
	text->at += len;
	return at;
}

void text_bytes(struct text *text, const void *bytes, size_t len)
{
	char *at = take(text, len);

	if (at)
		memcpy(at, bytes, len);
}

void text_string(struct text *text, const char *string)
{
	text_bytes(text, string, strlen(string));
}

void text_char(struct text *text, char c)
{
	char *at = take(text, 1);

	if (at)
		*at = c;
}

void text_number(struct text *text, uint64_t number, unsigned digits)
{
	char buffer[20]; /* of 2^64 - 1 */
	char *end = buffer + sizeof(buffer);
	char *at = end;

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number || (at > buffer && (size_t)(end - at) < digits));
	text_bytes(text, at, (size_t)(end - at));
}

static void put_hex(struct text *text, unsigned value, int digits)
{
	while (digits--)
		text_char(text, "0123456789abcdef"[value >> 4 * digits & 15]);
}

static void put_ipv4(struct text *text, const uint8_t *address)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (i)
			text_char(text, '.');
		text_number(text, address[i], 1);
	}
}

static unsigned ipv6_group(const uint8_t *address, int group)
{
	const uint8_t *at = address + (ptrdiff_t)group * 2;

	return (unsigned)at[0] << 8 | at[1];
}

/* The longest run of at least two zero groups, the first of equals; its length may be 0. */
static int longest_zero_run(const uint8_t *address, int *ret_len)
{
	int best = 0, best_len = 1, len = 0;
	int i;

	for (i = 0; i < 8; i++) {
		len = ipv6_group(address, i) ? 0 : len + 1;
		if (len > best_len) {
			best = i + 1 - len;
			best_len = len;
		}
	}
	*ret_len = best_len > 1 ? best_len : 0;
	return best;
}

static void put_ipv6(struct text *text, const uint8_t *address)
{
	int run_len;
	int run = longest_zero_run(address, &run_len);
	int i = 0;

	while (i < 8) {
		unsigned value = ipv6_group(address, i);

		if (run_len && i == run) {
			text_string(text, "::");
			i += run_len;
			continue;
		}
		if (i && !(run_len && i == run + run_len))
			text_char(text, ':');
		put_hex(text, value, value >> 12 ? 4 : value >> 8 ? 3 : value >> 4 ? 2 : 1);
		i++;
	}
}

void text_address(struct text *text, const uint8_t *address, size_t len)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (len == 4)
		put_ipv4(text, address);
	else if (!memcmp(address, mapped, sizeof(mapped)))
		put_ipv4(text, address + sizeof(mapped));
	else
		put_ipv6(text, address);
}

static void put_label(struct text *text, const uint8_t *label, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint8_t c = label[i];

		if (c < ' ' || c > '~') {
			text_char(text, '\\');
			text_number(text, c, 3);
			continue;
		}
		if (strchr(".\\\"'@;() ", c))
			text_char(text, '\\');
		text_char(text, (char)c);
	}
	text_char(text, '.');
}

static bool is_name(const uint8_t *name, size_t len)
{
	size_t at = 0;

	if (len > 255)
		return false;
	while (at < len && name[at] && name[at] < 64)
		at += 1 + name[at];
	return at + 1 == len && !name[at];
}

bool text_name(struct text *text, const uint8_t *name, size_t len)
{
	if (!is_name(name, len))
		return false;
	if (!*name)
		text_char(text, '.');
	for (; *name; name += 1 + *name)
		put_label(text, name + 1, *name);
	return true;
}

static void put_clock(struct text *text, const struct tm *tm)
{
	text_number(text, (uint64_t)tm->tm_hour, 2);
	text_char(text, ':');
	text_number(text, (uint64_t)tm->tm_min, 2);
	text_char(text, ':');
	text_number(text, (uint64_t)tm->tm_sec, 2);
}

void text_time_utc(struct text *text, uint64_t wall)
{
	time_t seconds = (time_t)(wall / NS_PER_SECOND);
	uint64_t fraction = wall % NS_PER_SECOND;
	unsigned digits = 9;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm)) {
		text->failed = true;
		return;
	}
	text_number(text, (uint64_t)tm.tm_year + 1900, 4);
	text_char(text, '-');
	text_number(text, (uint64_t)tm.tm_mon + 1, 2);
	text_char(text, '-');
	text_number(text, (uint64_t)tm.tm_mday, 2);
	text_char(text, 'T');
	put_clock(text, &tm);
	if (fraction) {
		for (; fraction % 10 == 0; fraction /= 10)
			digits--;
		text_char(text, '.');
		text_number(text, fraction, digits);
	}
	text_char(text, 'Z');
}

void text_time_local(struct text *text, uint64_t wall)
{
	time_t seconds = (time_t)(wall / NS_PER_SECOND);
	struct tm tm;

	if (!localtime_r(&seconds, &tm)) {
		text->failed = true;
		return;
	}
	put_clock(text, &tm);
	text_char(text, '.');
	text_number(text, wall % NS_PER_SECOND / 1000, 6);
}

/* The bytes of the UTF-8 character at `at`, by its first byte alone; 0: none starts so. */
static size_t utf8_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0 || first > 0xf7)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/*
 * Takes one character off *at, which is not at end. -1 when there is none, and then one byte is
 * taken. Overlong forms, surrogates and what is above U+10FFFF are none (RFC 3629).
 */
static int32_t utf8_take(const uint8_t **at, const uint8_t *end)
{
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *b = (*at)++;
	size_t len = utf8_length(*b);
	int32_t c = len == 1 ? *b : *b & 0x7f >> len;
	size_t i;

	if (!len || (size_t)(end - b) < len)
		return -1;
	for (i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (b[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return -1;
	*at = b + len;
	return c;
}

bool text_is_utf8(const uint8_t *bytes, size_t len)
{
	const uint8_t *end = bytes + len;

	while (bytes < end)
		if (utf8_take(&bytes, end) < 0)
			return false;
	return true;
}

static void put_json_escape(struct text *text, unsigned unit)
{
	text_string(text, "\\u");
	put_hex(text, unit, 4);
}

static void put_json_char(struct text *text, int32_t c)
{
	if (c < 0)
		c = 0xfffd;
	if (c >= ' ' && c <= '~') {
		if (c == '"' || c == '\\')
			text_char(text, '\\');
		text_char(text, (char)c);
	} else if (c < 0x10000) {
		put_json_escape(text, (unsigned)c);
	} else {
		put_json_escape(text, 0xd800 + ((unsigned)(c - 0x10000) >> 10));
		put_json_escape(text, 0xdc00 + ((unsigned)c & 0x3ff));
	}
}

void text_json_string(struct text *text, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	const uint8_t *end = at + len;

	text_char(text, '"');
	while (at < end)
		put_json_char(text, utf8_take(&at, end));
	text_char(text, '"');
}

void text_base64(struct text *text, const uint8_t *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	const unsigned padding = 64;
	char *at = take(text, (len + 2) / 3 * 4);
	size_t i;

	if (!at)
		return;
	for (i = 0; i < len; i += 3, at += 4) {
		uint32_t bits = (uint32_t)bytes[i] << 16;

		bits |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
		bits |= i + 2 < len ? bytes[i + 2] : 0;
		at[0] = digits[bits >> 18];
		at[1] = digits[bits >> 12 & 63];
		at[2] = digits[i + 1 < len ? bits >> 6 & 63 : padding];
		at[3] = digits[i + 2 < len ? bits & 63 : padding];
	}
}
