/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzz harnesses share. A harness defines LLVMFuzzerTestOneInput and is linked either with
 * libFuzzer (make fuzz) or with files.c, which feeds it the files of its corpus (make check). Its
 * input is a script: numbers and byte strings that are taken from the front; what is missing at the
 * end is zero, so that every input means something. All numbers are big endian.
 *
 * What must never be is a FUZZ_CHECK: it ends the program, and so makes a finding.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t script_u8(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->at++;
}

static inline uint16_t script_u16(struct script *s)
{
	uint16_t high = script_u8(s);

	return (uint16_t)(high << 8 | script_u8(s));
}

static inline uint32_t script_u32(struct script *s)
{
	uint32_t high = script_u16(s);

	return high << 16 | script_u16(s);
}

/* At most len bytes, where they stand; *ret_len says how many there are. */
static inline const uint8_t *script_bytes(struct script *s, size_t len, size_t *ret_len)
{
	const uint8_t *bytes = s->at;

	*ret_len = len < s->left ? len : s->left;
	if (*ret_len)
		s->at += *ret_len;
	s->left -= *ret_len;
	return bytes;
}

/*
 * A copy that ends where its block ends: a sanitizer then sees each byte read behind it, and it is
 * never NULL. For fuzz_free.
 */
enum { FUZZ_BEFORE = 16 };

static inline uint8_t *fuzz_copy(const uint8_t *bytes, size_t len)
{
	uint8_t *block = malloc(FUZZ_BEFORE + len);

	FUZZ_CHECK(block);
	if (len)
		memcpy(block + FUZZ_BEFORE, bytes, len);
	return block + FUZZ_BEFORE;
}

static inline void fuzz_free(uint8_t *copy)
{
	free(copy - FUZZ_BEFORE);
}

/* One line for a person, of at least one character, without any that moves a cursor. */
static inline void fuzz_check_line(const char *line)
{
	FUZZ_CHECK(*line);
	for (; *line; line++)
		FUZZ_CHECK((unsigned char)*line >= 0x20 && *line != 0x7f);
}

/* The same for an error that its caller logs. */
static inline void fuzz_check_error(const char *error, size_t room)
{
	FUZZ_CHECK(*error && memchr(error, 0, room));
	log_set_function(fuzz_check_line);
	log_error("%s", error);
}

#endif
