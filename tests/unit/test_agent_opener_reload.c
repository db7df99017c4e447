/* SPDX-License-Identifier: BSD-2-Clause */
/* What the opener allows before, while and after a configuration is read again. */
#include "agent_opener_room.h"

#include <errno.h>
#include <sys/stat.h>

static void write_config(const char *text)
{
	FILE *to = fopen(in_folder("c.yaml"), "w");

	assert_non_null(to);
	fputs(text, to);
	assert_int_equal(fclose(to), 0);
}

static void write_sink(const char *name)
{
	char text[PATH];

	snprintf(text, sizeof(text), "sinks:\n  - file://%s/%s\n", folder, name);
	write_config(text);
}

/* A pipe in the place of what is read would keep the opener for ever. */
static void test_pipes(void **state)
{
	struct room *r;
	uint32_t reading;

	(void)state;
	write_sink("one?rotate-size=1M");
	r = start((const char *[]){"--config", "@/c.yaml", "--tls-key", "@/k", "tls://h", NULL});
	unlink(in_folder("c.yaml"));
	assert_int_equal(mkfifo(in_folder("c.yaml"), 0600), 0);
	assert_int_equal(mkfifo(in_folder("k"), 0600), 0);
	assert_int_equal(try_open(r, "k", O_RDONLY), -FILES_NOT_REGULAR);
	assert_int_equal(try_open(r, "c.yaml", O_RDONLY), -FILES_NOT_REGULAR);
	assert_int_equal(opener_reload(r->opener, &reading), -EINVAL);
	assert_int_equal(unlink(in_folder("k")), 0);
	assert_int_equal(mkdir(in_folder("k"), 0700), 0);
	assert_int_equal(try_open(r, "k", O_RDONLY), -EISDIR);
	rmdir(in_folder("k"));
	finish(r);
	unlink(in_folder("c.yaml"));
}

static uint32_t reload_to(struct room *r, const char *name)
{
	uint32_t reading = 0;

	write_sink(name);
	assert_int_equal(opener_reload(r->opener, &reading), 0);
	assert_int_not_equal(reading, 0);
	return reading;
}

/* What is in force stays allowed, however many reloads are tried and dropped. */
static void test_reload(void **state)
{
	struct room *r;
	uint32_t reading;

	(void)state;
	write_sink("one");
	r = start((const char *[]){"--config", "@/c.yaml", NULL});
	assert_int_equal(try_open(r, "two", CREATE), -EPERM);
	for (int i = 0; i < 3; i++) {
		reload_to(r, "three");
		assert_int_equal(try_open(r, "three", CREATE), 0);
		opener_abort(r->opener);
		assert_int_equal(try_open(r, "three", CREATE), -EPERM);
		assert_int_equal(try_open(r, "one", CREATE), 0);
	}
	reload_to(r, "three"); /* nobody decides about it */
	reload_to(r, "two");
	assert_int_equal(try_open(r, "three", CREATE), -EPERM);
	opener_commit(r->opener, NULL, 0);
	assert_int_equal(try_open(r, "one", CREATE), 0);
	assert_int_equal(try_open(r, "two", CREATE), 0);
	opener_forget(r->opener);
	assert_int_equal(try_open(r, "one", CREATE), -EPERM);
	write_config("sinks: {");
	assert_int_equal(opener_reload(r->opener, &reading), -EINVAL);
	assert_int_equal(try_open(r, "two", CREATE), 0);
	finish(r);
	unlink(in_folder("one"));
	unlink(in_folder("two"));
	unlink(in_folder("three"));
	unlink(in_folder("c.yaml"));
}

/* A sink that stays as it was named long ago is allowed that until it is gone. */
static void test_kept(void **state)
{
	struct opener_place place = {.sink = 0};
	struct room *r;

	(void)state;
	write_sink("one?rotate-interval=1s");
	r = start((const char *[]){"--config", "@/c.yaml", NULL});
	for (int i = 0; i < 3; i++) {
		reload_to(r, "one");
		opener_commit(r->opener, &place, 1);
		opener_forget(r->opener);
		assert_int_equal(try_open(r, "one.1", CREATE_NEW), 0);
		assert_int_equal(unlink(in_folder("one.1")), 0);
	}
	reload_to(r, "one");
	opener_commit(r->opener, &(struct opener_place){.reading = 4711}, 1);
	opener_forget(r->opener);
	assert_int_equal(try_open(r, "one.1", CREATE_NEW), -EPERM);
	finish(r);
	unlink(in_folder("c.yaml"));
}

/* --netns is that of the start. */
static void test_fixed(void **state)
{
	struct netns_entry entries[1];
	struct room *r;
	uint32_t reading;

	(void)state;
	write_config("sinks: ['-']\n");
	r = start((const char *[]){"--config", "@/c.yaml", NULL});
	write_config("sinks: ['-']\nnetns: [all]\n");
	assert_int_equal(opener_reload(r->opener, &reading), 0);
	opener_commit(r->opener, NULL, 0);
	assert_int_equal(opener_netns_list(r->opener, entries, 1), -EPERM);
	finish(r);
	unlink(in_folder("c.yaml"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_pipes),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
