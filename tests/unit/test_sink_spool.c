/* SPDX-License-Identifier: BSD-2-Clause */
/* The spool on a real disk: what goes in comes out, in order, whatever happens to the files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/spool.h"

enum { FRAME = 1000, FULL = 5000 };

static char directory[] = "/tmp/test-spool-XXXXXX";
static char hint[300];

static const struct sink_url url = {.kind = SINK_UNIX, .target = "/run/dnstap.sock"};

static struct spool *open_spool(void)
{
	struct spool *spool = NULL;

	if (spool_new(&files_plain, directory, &url, SINK_SPOOL_MIN, &spool, hint, sizeof(hint)))
		fail_msg("%s", hint);
	return spool;
}

static void put(struct spool *spool, uint64_t from, uint64_t upto)
{
	uint8_t frame[FRAME];

	for (uint64_t n = from; n < upto; n++) {
		memset(frame, (int)n, sizeof(frame));
		memcpy(frame, &n, sizeof(n));
		while (!spool_put(spool, frame, sizeof(frame) - n % 100))
			assert_int_equal(spool_commit(spool), 0);
	}
	assert_int_equal(spool_commit(spool), 0);
}

/* Sends up to `most` frames; they must be numbered on from `first`. */
static uint64_t send_frames(struct spool *spool, uint64_t first, uint64_t most)
{
	struct spool_cursor at = spool_oldest(spool);
	const void *bytes;
	uint64_t n = 0, number;
	size_t len;

	while (n < most && spool_next(spool, &at, &bytes, &len)) {
		memcpy(&number, bytes, sizeof(number));
		assert_int_equal(number, first + n);
		assert_int_equal(len, FRAME - number % 100);
		assert_int_equal(((const uint8_t *)bytes)[len - 1], (uint8_t)number);
		n++;
	}
	spool_claim(spool, &at);
	return n;
}

static const char *folder(void)
{
	static char path[PATH_MAX];
	DIR *dir = opendir(directory);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
	}
	closedir(dir);
	return path;
}

/* The last (or first) segment's path; NULL: there is none. Counts them. */
static const char *segment_path(bool last, size_t *ret_count)
{
	static char path[PATH_MAX + 300];
	const char *in = folder();
	char best[256] = "";
	DIR *dir = opendir(in);
	struct dirent *entry;

	*ret_count = 0;
	while ((entry = readdir(dir))) {
		if (!strstr(entry->d_name, ".seg"))
			continue;
		(*ret_count)++;
		if (!*best || (strcmp(entry->d_name, best) > 0) == last)
			snprintf(best, sizeof(best), "%s", entry->d_name);
	}
	closedir(dir);
	snprintf(path, sizeof(path), "%s/%s", in, best);
	return *best ? path : NULL;
}

static void clean(struct spool *spool)
{
	send_frames(spool, 0, 0);
	spool_free(spool);
	for (size_t count = 1; count;) {
		const char *path = segment_path(false, &count);

		if (path)
			unlink(path);
	}
}

static void what_is_confirmed_leaves_the_disk(void **state)
{
	struct spool *s = open_spool();
	size_t count;

	(void)state;
	put(s, 0, 1000);
	assert_false(spool_empty(s));
	assert_int_equal(send_frames(s, 0, 400), 400);
	assert_true(spool_claimed(s) > 300000);
	assert_int_equal(spool_settle(s, true, 0), 0);
	assert_int_equal(spool_claimed(s), 0);
	assert_int_equal(send_frames(s, 400, 1000), 600);
	assert_true(spool_empty(s));
	assert_int_equal(spool_settle(s, true, 0), 0);
	assert_null(segment_path(true, &count));
	/* and it goes on */
	put(s, 1000, 1010);
	assert_int_equal(send_frames(s, 1000, 100), 10);
	assert_int_equal(spool_counts(s)->resent, 0);
	clean(s);
}

static void what_is_not_confirmed_is_sent_again(void **state)
{
	struct spool *s = open_spool();

	(void)state;
	put(s, 0, 1000);
	assert_int_equal(send_frames(s, 0, 700), 700);
	assert_int_equal(spool_settle(s, false, 0), 700);
	/* some claimed and not sent: they wait as if nothing had happened */
	assert_int_equal(send_frames(s, 0, 100), 100);
	assert_int_equal(spool_settle(s, false, 30), 70);
	assert_int_equal(send_frames(s, 0, 2000), 1000);
	assert_int_equal(spool_settle(s, true, 0), 0);
	assert_int_equal(spool_counts(s)->resent, 100 + 700);
	assert_true(spool_empty(s));
	clean(s);
}

static void a_restart_finds_what_was_not_confirmed(void **state)
{
	struct spool *s = open_spool(), *other = NULL;

	(void)state;
	put(s, 0, 1000);
	send_frames(s, 0, 500);
	spool_settle(s, true, 0);
	send_frames(s, 500, 100);
	/* two taps never share one */
	assert_int_equal(
		spool_new(&files_plain, directory, &url, SINK_SPOOL_MIN, &other, hint, sizeof(hint)), -EBUSY);
	assert_non_null(strstr(hint, "another tap"));
	spool_free(s); /* as a kill would: nothing is said at the end */
	s = open_spool();
	assert_int_equal(spool_counts(s)->recovered, 500);
	assert_int_equal(spool_counts(s)->torn, 0);
	put(s, 1000, 1100);
	assert_int_equal(send_frames(s, 500, 2000), 600);
	spool_settle(s, true, 0);
	clean(s);
}

static void the_oldest_are_given_up_first(void **state)
{
	struct spool *s = open_spool();
	uint64_t gone, kept;

	(void)state;
	put(s, 0, 2 * FULL);
	gone = spool_counts(s)->given_up;
	assert_in_range(gone, FULL, 2 * FULL - 3000);
	kept = send_frames(s, gone, 2 * FULL);
	assert_int_equal(gone + kept, 2 * FULL);
	/* what the open connection has is its own: nothing more is given up for it */
	put(s, 2 * FULL, 2 * FULL + 2000);
	assert_int_equal(spool_counts(s)->given_up, gone);
	kept = spool_settle(s, false, 0);
	assert_in_range(kept, 1000, FULL);
	/* but what was on a broken one is told apart */
	put(s, 2 * FULL + 2000, 2 * FULL + 4000);
	assert_in_range(spool_counts(s)->given_up_sent, 1000, 3000);
	assert_int_equal(spool_counts(s)->given_up, gone);
	clean(s);
}

/* Cuts the last segment at every length of its last record: all before it comes back, nothing else. */
static void a_torn_tail_is_left_out_and_counted(void **state)
{
	(void)state;
	for (off_t cut = 1; cut < 1100; cut += 37) {
		struct spool *s = open_spool();
		const bool two = cut > FRAME - 9 + 8;
		struct stat status;
		const char *path;
		size_t count;

		put(s, 0, 10);
		spool_free(s);
		path = segment_path(true, &count);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(truncate(path, status.st_size - cut), 0);
		s = open_spool();
		assert_int_equal(spool_counts(s)->recovered, two ? 8 : 9);
		assert_int_equal(spool_counts(s)->torn, cut == FRAME - 9 + 8 ? 0 : 1);
		put(s, two ? 8 : 9, 20);
		assert_int_equal(send_frames(s, 0, 100), 20);
		clean(s);
	}
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void a_damaged_frame_is_never_sent(void **state)
{
	struct spool *s = open_spool();
	uint64_t sent, resumed;
	struct spool_cursor at;
	const void *bytes;
	size_t count, len;

	(void)state;
	/* in a full segment, which a start does not read */
	put(s, 0, 1000);
	spool_free(s);
	flip(segment_path(false, &count), 100000);
	assert_true(count > 2);
	s = open_spool();
	assert_int_equal(spool_counts(s)->recovered, 1000);
	sent = send_frames(s, 0, 1000);
	assert_in_range(sent, 90, 110);
	at = spool_oldest(s);
	assert_true(spool_next(s, &at, &bytes, &len));
	memcpy(&resumed, bytes, sizeof(resumed));
	assert_int_equal(spool_counts(s)->given_up, resumed - sent);
	assert_int_equal(spool_counts(s)->torn, 1);
	assert_int_equal(send_frames(s, resumed, 1000), 1000 - resumed);
	clean(s);
}

static void rubbish_in_the_folder_is_no_harm(void **state)
{
	struct spool *s = open_spool();
	char path[PATH_MAX + 64];
	int fd;

	(void)state;
	put(s, 0, 10);
	spool_free(s);
	/* killed before the header was written; and somebody's own file */
	snprintf(path, sizeof(path), "%s/%016x.seg", folder(), 0x77);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	snprintf(path, sizeof(path), "%s/notes.txt", folder());
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	s = open_spool();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(spool_counts(s)->recovered, 10);
	assert_int_equal(spool_counts(s)->torn, 1);
	put(s, 10, 20);
	assert_int_equal(send_frames(s, 0, 100), 20);
	clean(s);
}

/*
 * What the header of a full segment counts may not be what the segment holds: the file was cut, or
 * the disk failed. Nothing waits for ever then, and what stands behind it still comes.
 */
static void a_wrong_count_ends(void **state)
{
	static const uint64_t wrong[] = {1, 1000, UINT64_MAX};
	const off_t frames_at = 24; /* in the header */

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct spool *s = open_spool();
		size_t count;
		uint64_t n = 0;
		int fd;

		put(s, 0, 900); /* three segments */
		spool_free(s);
		fd = open(segment_path(false, &count), O_WRONLY);
		assert_true(count > 2);
		assert_int_equal(pwrite(fd, &wrong[i], sizeof(wrong[i]), frames_at), 8);
		close(fd);
		s = open_spool();
		for (int tries = 0; tries < 100 && !spool_empty(s); tries++) {
			struct spool_cursor at = spool_oldest(s);
			const void *bytes;
			size_t len;

			while (spool_next(s, &at, &bytes, &len))
				n++;
			spool_claim(s, &at);
		}
		assert_true(spool_empty(s));
		assert_true(n >= 600 && n <= 900);
		spool_settle(s, true, 0);
		assert_int_equal(spool_counts(s)->recovered,
			n + spool_counts(s)->given_up + spool_counts(s)->given_up_sent);
		clean(s);
	}
}

static void a_folder_that_cannot_be_is_told(void **state)
{
	struct spool *s = NULL;

	(void)state;
	assert_int_equal(spool_new(&files_plain, "/nowhere/at/all", &url, SINK_SPOOL_MIN, &s, hint, sizeof(hint)),
		-ENOENT);
	assert_non_null(strstr(hint, "/nowhere/at/all: No such file"));
	assert_null(s);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char lock[PATH_MAX + 8];

	(void)state;
	snprintf(lock, sizeof(lock), "%s/lock", folder());
	unlink(lock);
	rmdir(folder());
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_confirmed_leaves_the_disk),
		cmocka_unit_test(what_is_not_confirmed_is_sent_again),
		cmocka_unit_test(a_restart_finds_what_was_not_confirmed),
		cmocka_unit_test(the_oldest_are_given_up_first),
		cmocka_unit_test(a_torn_tail_is_left_out_and_counted),
		cmocka_unit_test(a_damaged_frame_is_never_sent),
		cmocka_unit_test(rubbish_in_the_folder_is_no_harm),
		cmocka_unit_test(a_wrong_count_ends),
		cmocka_unit_test(a_folder_that_cannot_be_is_told),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
