/* SPDX-License-Identifier: BSD-2-Clause */
/* A file that is moved, replaced, locked by somebody else, or gone with its folder. */
#include <errno.h>
#include <stdatomic.h>

#include "sink_file_room.h"

static atomic_bool silent;

static int status_or_silence(void *arg, const char *path, struct stat *ret)
{
	return silent ? -ETIMEDOUT : files_plain.status(arg, path, ret);
}

/* Nobody can say whether the file was moved: it was not; once it can be said it is opened anew. */
static void a_file_is_never_emptied_for_want_of_an_answer(void **state)
{
	char moved[sizeof(directory) + 32];
	struct sink_files files = files_plain;
	struct sink_options options = live;
	struct sink *sink;
	bool whole;

	(void)state;
	files.status = status_or_silence;
	options.files = &files;
	snprintf(moved, sizeof(moved), "%s", in_directory("moved"));
	sink = open_file("whole", &options);
	offer(sink, 0, 10);
	assert_true(written(sink, 10, PATIENCE_MS));
	silent = true;
	sink_reopen(sink);
	usleep(50000);
	offer(sink, 10, 11);
	assert_true(written(sink, 11, PATIENCE_MS));
	assert_int_equal(read_back(in_directory("whole"), 0, &whole), 11);
	assert_int_equal(rename(in_directory("whole"), moved), 0);
	silent = false;
	usleep(1100000);
	offer(sink, 11, 12);
	assert_true(written(sink, 12, PATIENCE_MS));
	assert_int_equal(stopped(sink, 2000).confirmed, 12);
	sink_free(sink);
	assert_int_equal(read_back(moved, 0, &whole), 11);
	assert_true(whole);
	assert_int_equal(read_back(in_directory("whole"), 11, &whole), 1);
	unlink(moved);
}

/* What somebody has put in its place may be empty (logrotate's create), or is left alone. */
static void what_is_in_the_place_of_a_moved_file_is_not_emptied(void **state)
{
	char moved[sizeof(directory) + 32], place[sizeof(directory) + 32];
	bool whole;

	(void)state;
	snprintf(moved, sizeof(moved), "%s", in_directory("moved"));
	snprintf(place, sizeof(place), "%s", in_directory("whole"));
	for (off_t size = 0; size < 2; size++) {
		struct sink *sink = open_file("whole", &live);
		struct stat status;

		offer(sink, 0, 10);
		assert_true(written(sink, 10, PATIENCE_MS));
		assert_int_equal(rename(place, moved), 0);
		if (size)
			fill(place, size);
		else
			close(open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		sink_reopen(sink);
		for (int ms = 0; ms < 50 || (size && sink_connected(sink) && ms < PATIENCE_MS);
			ms++)
			usleep(1000);
		assert_false(sink_failed(sink));
		assert_int_equal(sink_connected(sink), size == 0);
		assert_int_equal(stopped(sink, 2000).confirmed, 10);
		sink_free(sink);
		assert_int_equal(read_back(moved, 0, &whole), 10);
		assert_int_equal(stat(place, &status), 0);
		assert_true(size ? status.st_size == size : status.st_size > 0);
	}
	unlink(moved);
}

static uint64_t size_of(const char *name)
{
	struct stat status;

	assert_int_equal(stat(in_directory(name), &status), 0);
	return (uint64_t)status.st_size;
}

/* The second is refused and has emptied nothing, by whatever name it comes. */
static void a_file_has_one_writer(void **state)
{
	struct sink *sink = open_file("whole", &live), *other = NULL;
	char text[128], moved[sizeof(directory) + 32];
	uint64_t size;

	(void)state;
	offer(sink, 0, 10);
	assert_true(written(sink, 10, PATIENCE_MS));
	size = size_of("whole");
	assert_int_equal(symlink("whole", in_directory("link")), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"whole", "./whole", "link"};

		snprintf(text, sizeof(text), "file://%s/%s", directory, names[i]);
		assert_int_equal(try_sink(text, &live, &other), -EBUSY);
		assert_non_null(strstr(error, "another tap, or another sink of this one"));
		assert_non_null(strstr(error, names[i]));
		assert_int_equal(size_of("whole"), size);
	}
	/* rotated: the new one is locked, the old one is anybody's */
	snprintf(moved, sizeof(moved), "%s", in_directory("moved"));
	assert_int_equal(rename(in_directory("whole"), moved), 0);
	sink_reopen(sink);
	offer(sink, 10, 20);
	assert_true(written(sink, 20, PATIENCE_MS));
	assert_int_equal(try_sink(text, &live, &other), -EBUSY);
	other = open_file("moved", &live);
	sink_free(other);
	assert_int_equal(stopped(sink, 2000).confirmed, 20);
	sink_free(sink);
	other = open_file("whole", &live);
	sink_free(other);
	unlink(in_directory("link"));
	unlink(moved);
}

/* Only who may write to the file can keep a tap from it. */
static void a_reader_keeps_no_sink_from_its_file(void **state)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct sink *sink;
	int fd;

	(void)state;
	fill(in_directory("whole"), 1);
	fd = open(in_directory("whole"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	sink = open_file("whole", &live);
	offer(sink, 0, 1);
	assert_int_equal(stopped(sink, 2000).confirmed, 1);
	sink_free(sink);
	close(fd);
}

/* Its folder is gone when the next file is due: messages wait, and it is tried again. */
static void comes_back(const char *rotation)
{
	char folder[sizeof(directory) + 32], away[sizeof(directory) + 32];
	char path[sizeof(folder) + 8], text[sizeof(path) + 32];
	struct sink *sink;
	bool whole;

	snprintf(folder, sizeof(folder), "%s", in_directory("folder"));
	snprintf(away, sizeof(away), "%s", in_directory("away"));
	snprintf(path, sizeof(path), "%s/f", folder);
	snprintf(text, sizeof(text), "file://%s%s", path, rotation);
	assert_int_equal(mkdir(folder, 0700), 0);
	sink = open_sink(text, &live);
	assert_true(sink_connected(sink));
	offer(sink, 0, 10);
	assert_true(written(sink, 10, PATIENCE_MS));
	assert_int_equal(rename(folder, away), 0);
	sink_reopen(sink);
	offer(sink, 10, 20);
	for (int i = 0; i < 4000 && !balanced(sink).failed_connect; i++)
		usleep(5000);
	assert_true(balanced(sink).failed_connect);
	assert_int_equal(balanced(sink).queued, 10);
	assert_false(sink_connected(sink));
	assert_false(sink_failed(sink));
	/* by itself, and at once when asked for */
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_true(written(sink, 20, PATIENCE_MS));
	assert_true(sink_connected(sink));
	assert_int_equal(stopped(sink, 2000).confirmed, 20);
	sink_free(sink);
	assert_int_equal(read_back(path, 10, &whole), 10);
	assert_true(whole);
	unlink(path);
	rmdir(folder);
	snprintf(path, sizeof(path), "%s/f", away);
	assert_int_equal(read_back(path, 0, &whole), 10);
	assert_true(whole);
	unlink(path);
	rmdir(away);
}

static void a_file_comes_back_with_its_folder(void **state)
{
	(void)state;
	comes_back("");
	comes_back("?rotate-size=1M");
}

/* A replay has an end that somebody waits for. */
static void a_replay_does_not_wait_for_a_folder(void **state)
{
	struct sink_options options = live;
	char text[128];
	struct sink *sink;

	(void)state;
	options.wait_for_room = true;
	assert_int_equal(mkdir(in_directory("folder"), 0700), 0);
	snprintf(text, sizeof(text), "file://%s/f", in_directory("folder"));
	sink = open_sink(text, &options);
	offer(sink, 0, 10);
	assert_true(written(sink, 10, PATIENCE_MS));
	unlink(in_directory("folder/f"));
	rmdir(in_directory("folder"));
	sink_reopen(sink);
	for (int i = 0; i < 4000 && !sink_failed(sink); i++)
		usleep(5000);
	assert_true(sink_failed(sink));
	sink_free(sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_never_emptied_for_want_of_an_answer),
		cmocka_unit_test(what_is_in_the_place_of_a_moved_file_is_not_emptied),
		cmocka_unit_test(a_file_has_one_writer),
		cmocka_unit_test(a_reader_keeps_no_sink_from_its_file),
		cmocka_unit_test(a_file_comes_back_with_its_folder),
		cmocka_unit_test(a_replay_does_not_wait_for_a_folder),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
