/* SPDX-License-Identifier: BSD-2-Clause */
/* Records become packets: whole ones in place, long ones from their parts, broken ones counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/assembly.h"
#include "record.h"

enum { LONG = 150000, ROOM = sizeof(struct record) + RECORD_BYTES_MAX };

static uint8_t room[ROOM];

struct got {
	size_t packets;
	uint32_t have, wire;
	bool right; /* its bytes are those that take() made */
};

static uint8_t byte_of(uint32_t at, uint64_t time)
{
	return (uint8_t)(at * 7 + time);
}

static void on_packet(void *arg, const struct captured *c)
{
	struct got *got = arg;

	got->packets++;
	got->have = c->source.have;
	got->wire = c->source.wire;
	got->right = true;
	for (uint32_t i = 0; i < c->source.have; i++)
		got->right &= c->bytes[i] == byte_of(i, c->time);
}

static size_t take(struct assembly *a, uint64_t time, uint32_t offset, uint32_t have, uint32_t wire,
	struct got *got)
{
	struct record r = {.time = time,
		.wire = wire,
		.offset = offset,
		.have = (uint16_t)have,
		.version = RECORD_VERSION};

	memcpy(room, &r, sizeof(r));
	for (uint32_t i = 0; i < have; i++)
		room[sizeof(r) + i] = byte_of(offset + i, time);
	return assembly_take(a, room, sizeof(r) + have, on_packet, got);
}

static void test_whole(void **state)
{
	struct assembly a = {0};
	struct got got = {0};

	assert_int_equal(take(&a, 1, 0, 100, 100, &got), 1);
	assert_int_equal(got.have, 100);
	assert_true(got.right);
	assert_int_equal(take(&a, 2, 0, 300, 900, &got), 1); /* clamped */
	assert_int_equal(got.have, 300);
	assert_int_equal(got.wire, 900);
	assembly_done(&a);
	(void)state;
}

static void test_parts(void **state)
{
	struct assembly a = {0};
	struct got got = {0};

	assert_int_equal(take(&a, 1, 0, 65000, LONG, &got), 0);
	assert_int_equal(take(&a, 1, 65000, 65000, LONG, &got), 0);
	assert_int_equal(take(&a, 1, 130000, 20000, LONG, &got), 1);
	assert_int_equal(got.have, LONG);
	assert_true(got.right);
	/* A packet that fills its only record to the last byte. */
	assert_int_equal(take(&a, 2, 0, 65000, 65000, &got), 1);
	assert_int_equal(a.broken, 0);
	assembly_done(&a);
	(void)state;
}

static void test_interleaved(void **state)
{
	struct assembly a = {0};
	struct got got = {0};

	assert_int_equal(take(&a, 1, 0, 65000, 70000, &got), 0);
	assert_int_equal(take(&a, 2, 0, 65000, 80000, &got), 0);
	assert_int_equal(take(&a, 3, 0, 50, 50, &got), 1);
	assert_int_equal(take(&a, 2, 65000, 15000, 80000, &got), 1);
	assert_int_equal(got.have, 80000);
	assert_true(got.right);
	assert_int_equal(take(&a, 1, 65000, 5000, 70000, &got), 1);
	assert_int_equal(got.have, 70000);
	assert_true(got.right);
	assembly_done(&a);
	(void)state;
}

/* Parts that found no room: the packet is gone, those behind it are not. */
static void test_lost_parts(void **state)
{
	struct assembly a = {0};
	struct got got = {0};

	for (uint64_t time = 1; time < 20; time++)
		assert_int_equal(take(&a, time, 0, 65000, 70000, &got), 0);
	assert_int_equal(take(&a, 30, 65000, 5000, 70000, &got), 0);
	assert_int_equal(take(&a, 31, 0, 65000, 70000, &got), 0);
	assert_int_equal(take(&a, 31, 65000, 5000, 70000, &got), 1);
	assert_true(got.right);
	assert_int_equal(got.packets, 1);
	assembly_done(&a);
	(void)state;
}

static void test_broken(void **state)
{
	struct assembly a = {0};
	struct got got = {0};
	struct record r = {.have = 10, .wire = 10, .version = RECORD_VERSION + 1};

	assert_int_equal(assembly_take(&a, &r, sizeof(r), on_packet, &got), 0);
	r.version = RECORD_VERSION; /* ten bytes are promised, none is there */
	assert_int_equal(assembly_take(&a, &r, sizeof(r), on_packet, &got), 0);
	assert_int_equal(assembly_take(&a, &r, sizeof(r) - 1, on_packet, &got), 0);
	r = (struct record){.wire = 10, .offset = 11, .version = RECORD_VERSION};
	assert_int_equal(assembly_take(&a, &r, sizeof(r), on_packet, &got), 0);
	assert_int_equal(a.broken, 4);
	assert_int_equal(got.packets, 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_lost_parts),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
