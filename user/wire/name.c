/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/name.h"

enum { LABEL_MAX = 63 };

/* A label's length is below 'A' and stays as it is. */
static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
}

bool name_is_below(
	const uint8_t *name, uint32_t name_len, const uint8_t *suffix, uint32_t suffix_len)
{
	while (name_len > suffix_len) {
		name_len -= 1U + *name;
		name += 1 + *name;
	}
	if (name_len != suffix_len)
		return false;
	for (uint32_t i = 0; i < suffix_len; i++)
		if (lower(name[i]) != lower(suffix[i]))
			return false;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One byte of a label, escaped or not; how many characters that took, 0: none that may stand. */
static unsigned read_byte(const char *text, uint8_t *ret)
{
	unsigned value;

	if (*text <= ' ' || *text > '~') /* where char is signed, beyond ASCII is below 0 */
		return 0;
	*ret = (uint8_t)*text;
	if (*text != '\\')
		return 1;
	if (!is_digit(text[1])) {
		*ret = (uint8_t)text[1];
		return text[1] >= ' ' && text[1] <= '~' ? 2 : 0;
	}
	if (!is_digit(text[2]) || !is_digit(text[3]))
		return 0;
	value = (unsigned)(text[1] - '0') * 100 + (unsigned)(text[2] - '0') * 10 +
		(unsigned)(text[3] - '0');
	*ret = (uint8_t)value;
	return value <= 255 ? 4 : 0;
}

/* One label, to at most room bytes of label behind its length. Characters taken; 0: none. */
static unsigned read_label(const char *text, uint8_t *label, uint32_t room)
{
	unsigned at = 0, len = 0;

	while (text[at] && text[at] != '.') {
		uint8_t byte;
		unsigned took = read_byte(text + at, &byte);

		if (!took || len == LABEL_MAX || len == room)
			return 0;
		label[1 + len++] = byte;
		at += took;
	}
	label[0] = (uint8_t)len;
	return at;
}

uint32_t name_from_text(const char *text, uint8_t name[static DNS_NAME_MAX])
{
	uint32_t len = 0;

	if (!*text)
		return 0;
	if (text[0] == '.' && !text[1])
		text++;
	while (*text) {
		/* A byte for this label's length, one for the root's. */
		unsigned took = DNS_NAME_MAX - len < 3
					? 0
					: read_label(text, name + len, DNS_NAME_MAX - len - 2);

		if (!took)
			return 0;
		text += took;
		text += *text == '.';
		len += 1U + name[len];
	}
	name[len] = 0;
	return len + 1;
}
