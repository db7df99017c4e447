/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be taken for a message in the middle of a stream, and what never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/stream_start.h"

/* A response: one question, one A record, one OPT. */
static const uint8_t response[] = {
	0, 56, 0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 1,
	7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1,
	0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1,
	0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 9, 0, 0,
};
_Static_assert(sizeof(response) == 58, "the length before the message is right");

enum {
	FLAGS = 4, COUNTS = 6, NAME = 14, QCLASS = 25, POINTER = 28, RTYPE = 29, RDLENGTH = 37,
	OPT_LENGTH = 52,
};

/* Looks at a copy of exactly len bytes. */
static enum stream_start look(const uint8_t *bytes, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum stream_start start;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	start = stream_start(copy, len);
	free(copy);
	return start;
}

static enum stream_start look_changed(uint32_t at, uint8_t value)
{
	uint8_t bytes[sizeof(response)];

	memcpy(bytes, response, sizeof(bytes));
	bytes[at] = value;
	return look(bytes, sizeof(bytes));
}

static void a_whole_message_is_one_and_its_beginning_may_be(void **state)
{
	(void)state;
	assert_int_equal(look(response, sizeof(response)), STREAM_START_YES);
	for (uint32_t len = 0; len < sizeof(response); len++)
		assert_int_equal(look(response, len), STREAM_START_MAYBE);
}

static void what_contradicts_itself_is_none(void **state)
{
	(void)state;
	assert_int_equal(look_changed(1, 55), STREAM_START_NO);
	assert_int_equal(look_changed(1, 11), STREAM_START_NO);
	assert_int_equal(look_changed(FLAGS, 0x83), STREAM_START_NO);      /* TC */
	assert_int_equal(look_changed(FLAGS, 0x81 | 3 << 3), STREAM_START_NO);
	assert_int_equal(look_changed(FLAGS, 0x81 | 7 << 3), STREAM_START_NO);
	assert_int_equal(look_changed(FLAGS, 0x81 | 5 << 3), STREAM_START_YES);
	assert_int_equal(look_changed(FLAGS + 1, 0xc0), STREAM_START_NO);
	assert_int_equal(look_changed(COUNTS + 1, 2), STREAM_START_NO);
	assert_int_equal(look_changed(COUNTS + 3, 0), STREAM_START_NO);
	assert_int_equal(look_changed(COUNTS + 3, 2), STREAM_START_NO);
	assert_int_equal(look_changed(NAME, 64), STREAM_START_NO);
	assert_int_equal(look_changed(QCLASS + 1, 7), STREAM_START_NO);
	assert_int_equal(look_changed(POINTER, 27), STREAM_START_NO);      /* at itself */
	assert_int_equal(look_changed(POINTER, 11), STREAM_START_NO);      /* the header */
	assert_int_equal(look_changed(RTYPE + 1, 0), STREAM_START_NO);
	assert_int_equal(look_changed(RDLENGTH + 1, 3), STREAM_START_NO);
	assert_int_equal(look_changed(RDLENGTH, 1), STREAM_START_NO);
	assert_int_equal(look_changed(OPT_LENGTH + 1, 3), STREAM_START_NO);
	assert_int_equal(look_changed(OPT_LENGTH + 1, 5), STREAM_START_NO);
}

static void a_header_alone_says_too_little(void **state)
{
	static const uint8_t header[14] = {0, 12, 0x12, 0x34, 0x81, 0x81};

	(void)state;
	assert_int_equal(look(header, sizeof(header)), STREAM_START_NO);
}

/* A length that is too long is found out before the message is whole. */
static void a_beginning_is_walked_as_far_as_it_goes(void **state)
{
	uint8_t bytes[sizeof(response)];

	(void)state;
	memcpy(bytes, response, sizeof(bytes));
	bytes[0] = 1;
	assert_int_equal(look(bytes, sizeof(bytes)), STREAM_START_NO);
	bytes[COUNTS + 7] = 2;
	assert_int_equal(look(bytes, sizeof(bytes)), STREAM_START_MAYBE);
	bytes[RTYPE + 1] = 0;
	assert_int_equal(look(bytes, sizeof(bytes)), STREAM_START_NO);
}

static void what_follows_must_fit_too(void **state)
{
	uint8_t bytes[sizeof(response) + 16] = {0};

	(void)state;
	memcpy(bytes, response, sizeof(response));
	assert_int_equal(look(bytes, sizeof(response) + 1), STREAM_START_YES);
	assert_int_equal(look(bytes, sizeof(response) + 2), STREAM_START_NO);
	memcpy(bytes + sizeof(response), response, 16);
	assert_int_equal(look(bytes, sizeof(bytes)), STREAM_START_YES);
	bytes[sizeof(response) + FLAGS] |= 2;
	assert_int_equal(look(bytes, sizeof(bytes)), STREAM_START_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_message_is_one_and_its_beginning_may_be),
		cmocka_unit_test(what_contradicts_itself_is_none),
		cmocka_unit_test(a_header_alone_says_too_little),
		cmocka_unit_test(a_beginning_is_walked_as_far_as_it_goes),
		cmocka_unit_test(what_follows_must_fit_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
