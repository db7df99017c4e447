/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/table.h"

enum { KEY = 11, VALUE = 20 }; /* sizes that are padded */

struct value {
	uint32_t number;
	uint8_t rest[VALUE - 4];
};

static void make_key(uint8_t key[KEY], unsigned number)
{
	memset(key, 0, KEY);
	memcpy(key + 3, &number, sizeof(number));
}

static void test_capacity_bounds(void **state)
{
	struct table *t;

	(void)state;
	assert_null(table_new(0, 4, 4));
	assert_null(table_new((1 << 24) + 1, 4, 4));
	t = table_new(1, 4, 4);
	assert_non_null(t);
	assert_int_equal(table_count(t), 0);
	assert_null(table_oldest(t));
	assert_null(table_find(t, "abc"));
	assert_non_null(table_add(t, "abc"));
	assert_true(table_full(t));
	assert_null(table_add(t, "abc"));
	assert_null(table_add(t, "xyz"));
	table_remove(t, table_find(t, "abc"));
	assert_false(table_full(t));
	assert_non_null(table_add(t, "xyz"));
	table_free(t);
	table_free(NULL);
}

static void test_entries_are_zeroed_and_aligned(void **state)
{
	struct table *t = table_new(3, KEY, VALUE);
	uint8_t key[KEY];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		static const uint8_t zero[VALUE];
		void *entry;

		make_key(key, i);
		if (table_full(t))
			table_remove(t, table_oldest(t));
		entry = table_add(t, key);
		assert_memory_equal(entry, zero, VALUE);
		assert_int_equal((uintptr_t)entry % 8, 0);
		memset(entry, 0xff, VALUE);
		assert_memory_equal(table_key(t, entry), key, KEY);
	}
	table_free(t);
}

static void test_same_keys_oldest_first(void **state)
{
	struct table *t = table_new(8, KEY, VALUE);
	uint8_t key[KEY];
	void *e[4];

	(void)state;
	make_key(key, 1);
	for (int i = 0; i < 4; i++)
		e[i] = table_add(t, key);
	assert_ptr_equal(table_find(t, key), e[0]);
	/* Ages change, places among one key do not. */
	table_touch(t, e[0]);
	assert_ptr_equal(table_oldest(t), e[1]);
	assert_ptr_equal(table_find(t, key), e[0]);
	table_remove(t, e[1]);
	assert_ptr_equal(table_find_next(t, e[0]), e[2]);
	assert_ptr_equal(table_find_next(t, e[2]), e[3]);
	assert_null(table_find_next(t, e[3]));
	assert_ptr_equal(table_younger(t, e[3]), e[0]);
	assert_null(table_younger(t, e[0]));
	table_free(t);
}

/* The model: what is in the table, in the order of adding, each with a stamp of its last touch. */
enum { MODEL_CAPACITY = 300, MODEL_KEYS = 120 };

struct model_entry {
	unsigned key;
	uint32_t number;
	unsigned long touched;
	struct value *entry;
};

static struct model {
	struct model_entry entries[MODEL_CAPACITY];
	size_t count;
	unsigned long stamp;
	uint32_t next_number;
	unsigned seed;
} model;

static void model_add(struct table *t)
{
	unsigned number = (unsigned)rand_r(&model.seed) % MODEL_KEYS;
	uint8_t key[KEY];
	struct value *v;

	make_key(key, number);
	v = table_add(t, key);
	if (model.count == MODEL_CAPACITY) {
		assert_null(v);
		return;
	}
	assert_non_null(v);
	v->number = ++model.next_number;
	model.entries[model.count++] =
		(struct model_entry){number, v->number, ++model.stamp, v};
}

static void model_remove(struct table *t, size_t i)
{
	table_remove(t, model.entries[i].entry);
	model.count--;
	memmove(model.entries + i, model.entries + i + 1,
		(model.count - i) * sizeof(model.entries[0]));
}

static void model_touch(struct table *t, size_t i)
{
	table_touch(t, model.entries[i].entry);
	model.entries[i].touched = ++model.stamp;
}

static void assert_same_key_order(const struct table *t, unsigned number)
{
	uint8_t key[KEY];
	struct value *v;

	make_key(key, number);
	v = table_find(t, key);
	for (size_t i = 0; i < model.count; i++) {
		if (model.entries[i].key != number)
			continue;
		assert_ptr_equal(v, model.entries[i].entry);
		assert_int_equal(v->number, model.entries[i].number);
		assert_memory_equal(table_key(t, v), key, KEY);
		v = table_find_next(t, v);
	}
	assert_null(v);
}

static const struct model_entry *next_touched(unsigned long after)
{
	const struct model_entry *best = NULL;

	for (size_t i = 0; i < model.count; i++) {
		const struct model_entry *e = &model.entries[i];

		if (e->touched > after && (!best || e->touched < best->touched))
			best = e;
	}
	return best;
}

static void assert_ages(const struct table *t)
{
	const struct model_entry *e = next_touched(0);
	struct value *v = table_oldest(t);

	for (; e; e = next_touched(e->touched)) {
		assert_ptr_equal(v, e->entry);
		v = table_younger(t, v);
	}
	assert_null(v);
}

static void test_against_model(void **state)
{
	struct table *t = table_new(MODEL_CAPACITY, KEY, VALUE);
	bool was_full = false;

	(void)state;
	model.seed = 1;
	for (int round = 0; round < 300000; round++) {
		/* Waves: in one half of the rounds it fills, in the other it empties. */
		int adds = round / 2000 & 1 ? 5 : 2;
		int what = rand_r(&model.seed) % 8;

		if (what < adds || !model.count)
			model_add(t);
		else if (what == 7)
			model_touch(t, (size_t)rand_r(&model.seed) % model.count);
		else
			model_remove(t, (size_t)rand_r(&model.seed) % model.count);
		assert_int_equal(table_count(t), model.count);
		assert_int_equal(table_full(t), model.count == MODEL_CAPACITY);
		was_full |= table_full(t);
		assert_same_key_order(t, (unsigned)rand_r(&model.seed) % MODEL_KEYS);
		if (round % 500 == 0)
			assert_ages(t);
	}
	assert_true(was_full);
	while (model.count)
		model_remove(t, 0);
	assert_null(table_oldest(t));
	table_free(t);
}

/* So many keys that some of them share the 32 bits of hash that entries keep. */
static void test_keys_of_one_hash(void **state)
{
	enum { MANY = 400000 };
	struct table *t = table_new(MANY, sizeof(uint32_t), sizeof(uint32_t));

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		*(uint32_t *)table_add(t, &i) = i;
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t *found = table_find(t, &i);

		assert_int_equal(*found, i);
		assert_null(table_find_next(t, found));
	}
	table_free(t);
}

static void test_hash_is_keyed(void **state)
{
	struct table *a = table_new(1, 4, 4), *b = table_new(1, 4, 4);

	(void)state;
	assert_true(table_hash(a, "example", 7) == table_hash(a, "example", 7));
	assert_true(table_hash(a, "example", 7) != table_hash(a, "exampld", 7));
	assert_true(table_hash(a, "example", 7) != table_hash(b, "example", 7));
	table_free(a);
	table_free(b);
}

enum { CROWD = 65536, BUCKETS = 2 * CROWD, FNV_PRIME = 0x01000193 };

static uint32_t fnv(const uint8_t *bytes, size_t len)
{
	uint32_t state = 0x811c9dc5;

	for (size_t i = 0; i < len; i++)
		state = (state ^ bytes[i]) * FNV_PRIME;
	return state;
}

/*
 * Of the low bits of FNV-1a's state those from which two bytes lead to 0, and these bytes plus 1.
 * Its low bits depend on no higher ones, and a step can be undone: who attacks does just that.
 */
static void find_ways(uint32_t ways[static BUCKETS])
{
	uint32_t inverse = FNV_PRIME;

	for (int i = 0; i < 5; i++)
		inverse *= 2 - FNV_PRIME * inverse;
	for (uint32_t pair = 0; pair < CROWD; pair++)
		ways[(((pair & 0xff) * inverse) ^ pair >> 8) & (BUCKETS - 1)] = pair + 1;
}

/* The next key, from *number on, that FNV-1a puts into bucket 0. */
static void colliding_key(const uint32_t ways[static BUCKETS], uint32_t *number, uint8_t key[KEY])
{
	uint32_t pair;

	memset(key, 0, KEY);
	do {
		++*number;
		memcpy(key, number, sizeof(*number));
		pair = ways[fnv(key, KEY - 2) & (BUCKETS - 1)];
	} while (!pair);
	key[KEY - 2] = (uint8_t)((pair - 1) >> 8);
	key[KEY - 1] = (uint8_t)(pair - 1);
	assert_int_equal(fnv(key, KEY) & (BUCKETS - 1), 0);
}

/* Keys that an unkeyed hash would put into one chain of 65,536 make chains of a few here. */
static void test_keys_made_to_collide(void **state)
{
	enum { LONGEST = 16 }; /* at load 1/2 one in 10^12 tables has a longer one */
	static uint32_t ways[BUCKETS];
	static uint8_t chains[BUCKETS];
	struct table *t = table_new(CROWD, KEY, VALUE);
	uint32_t number = 0;
	uint8_t key[KEY];

	(void)state;
	find_ways(ways);
	while (!table_full(t)) {
		colliding_key(ways, &number, key);
		assert_null(table_find(t, key));
		assert_non_null(table_add(t, key));
		assert_true(++chains[table_hash(t, key, KEY) & (BUCKETS - 1)] <= LONGEST);
	}
	table_free(t);
}

static void test_memory_is_told(void **state)
{
	struct table *t = table_new(1000, 38, 100);

	(void)state;
	assert_in_range(table_memory(t), 1000 * 138, 1000 * (138 + 64));
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capacity_bounds),
		cmocka_unit_test(test_entries_are_zeroed_and_aligned),
		cmocka_unit_test(test_same_keys_oldest_first),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_keys_of_one_hash),
		cmocka_unit_test(test_hash_is_keyed),
		cmocka_unit_test(test_keys_made_to_collide),
		cmocka_unit_test(test_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
