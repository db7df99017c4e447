/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of a line: repeated without end, and where standard error is the journal's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static char said[64][128];
static size_t count;

static void note(const char *line)
{
	assert_true(count < 64);
	snprintf(said[count++], sizeof(said[0]), "%.120s", line);
}

static void test_repeated_lines(void **state)
{
	(void)state;
	log_set_function(note);
	for (int i = 0; i < 1000; i++)
		log_warn("no room");
	assert_int_equal(count, LOG_REPEATS);
	assert_string_equal(said[0], "warning: no room");
	log_info("something else");
	assert_int_equal(count, LOG_REPEATS + 2);
	assert_string_equal(said[count - 2], "(and 995 times more)");
	assert_string_equal(said[count - 1], "something else");
	for (int i = 0; i < LOG_REPEATS; i++) {
		log_info("one");
		log_info("other");
	}
	assert_int_equal(count, 3 * LOG_REPEATS + 2);
}

/* What goes to standard error while JOURNAL_STREAM names that inode. */
static void read_stderr(ino_t inode_offset, char ret[static 256])
{
	int saved = dup(STDERR_FILENO), ends[2];
	char stream[64];
	struct stat st;
	ssize_t len;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fstat(ends[1], &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
		(uintmax_t)(st.st_ino + inode_offset));
	setenv("JOURNAL_STREAM", stream, 1);
	fflush(stderr);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	log_find_journal();
	log_error("a, %lu", (unsigned long)inode_offset);
	log_warn("b");
	log_info("c");
	dup2(saved, STDERR_FILENO);
	close(saved);
	len = read(ends[0], ret, 255);
	close(ends[0]);
	assert_true(len > 0);
	ret[len] = '\0';
}

static void test_journal(void **state)
{
	char text[256];

	(void)state;
	read_stderr(1, text);
	assert_string_equal(
		text, "dnstap-bpf: error: a, 1\ndnstap-bpf: warning: b\ndnstap-bpf: c\n");
	read_stderr(0, text);
	assert_string_equal(text, "<3>error: a, 0\n<4>warning: b\n<6>c\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_repeated_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
