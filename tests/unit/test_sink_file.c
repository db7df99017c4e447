/* SPDX-License-Identifier: BSD-2-Clause */
/* The sinks that write to a path: a file, a FIFO, a device. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sink_file_room.h"

static void a_file_has_every_frame_and_its_end(void **state)
{
	struct sink *sink = open_file("whole", &live);
	struct stat status;
	bool whole;

	(void)state;
	offer(sink, 0, 10000);
	assert_int_equal(stopped(sink, 2000).confirmed, 10000);
	sink_free(sink);
	assert_int_equal(read_back(in_directory("whole"), 0, &whole), 10000);
	assert_true(whole);
	assert_int_equal(stat(in_directory("whole"), &status), 0);
	assert_int_equal(status.st_mode & 07777 & ~022, 0644);
}

static void a_file_without_frames_is_a_valid_stream(void **state)
{
	bool whole;

	(void)state;
	/* the stop comes before, while and after the thread has opened it */
	for (int i = 0; i < 50; i++) {
		struct sink *sink = open_file("empty", &live);

		if (i % 2)
			usleep((unsigned int)i * 20);
		sink_free(sink);
		assert_int_equal(read_back(in_directory("empty"), 0, &whole), 0);
		assert_true(whole);
	}
}

static void a_file_is_emptied_first_and_can_be_followed_live(void **state)
{
	struct sink *sink = open_file("whole", &live);
	bool whole;

	(void)state;
	for (uint64_t n = 0; n < 5; n++) {
		offer(sink, n, n + 1);
		assert_true(written(sink, n + 1, 100));
		assert_int_equal(read_back(in_directory("whole"), 0, &whole), n + 1);
		assert_false(whole);
	}
	assert_int_equal(stopped(sink, 2000).confirmed, 5);
	sink_free(sink);
}

static void listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void what_cannot_be_a_file_is_refused_with_the_reason(void **state)
{
	struct sink *sink = NULL;
	char text[128];

	(void)state;
	snprintf(text, sizeof(text), "file://%s", directory);
	assert_int_equal(try_sink(text, &live, &sink), -EISDIR);
	assert_non_null(strstr(error, "Is a directory"));
	assert_non_null(strstr(error, directory));
	assert_int_equal(try_sink("file:///nowhere/at/all", &live, &sink), -ENOENT);
	assert_non_null(strstr(error, "/nowhere/at/all: No such file"));
	listen_at(in_directory("socket"));
	snprintf(text, sizeof(text), "file://%s", in_directory("socket"));
	assert_int_equal(try_sink(text, &live, &sink), -ENXIO);
	assert_non_null(strstr(error, "unix://"));
	assert_null(sink);
}

static void devices_take_what_they_take(void **state)
{
	struct sink *sink = open_sink("file:///dev/null", &live);
	struct sink_counts c;

	(void)state;
	offer(sink, 0, 10000);
	assert_int_equal(stopped(sink, 2000).confirmed, 10000);
	sink_free(sink);

	sink = open_sink("file:///dev/full", &live);
	offer(sink, 0, 100);
	usleep(50000);
	assert_false(sink_failed(sink));
	c = stopped(sink, SINK_STOP_MS + 300);
	assert_int_equal(c.lost_undelivered, 100);
	sink_free(sink);
}

/* A disk with 256 KiB left that fills up, is whole up to its last frame, and gets room again. */
static void a_full_disk_keeps_the_file_whole_and_goes_on(void **state)
{
	char disk[sizeof(directory) + 32], file[sizeof(disk) + 8], other[sizeof(disk) + 8];
	char text[sizeof(file) + 8];
	struct sink *sink;
	uint64_t before;
	bool whole;

	(void)state;
	snprintf(disk, sizeof(disk), "%s", in_directory("disk"));
	snprintf(file, sizeof(file), "%s/f", disk);
	snprintf(other, sizeof(other), "%s/o", disk);
	assert_int_equal(mkdir(disk, 0755), 0);
	if (mount("none", disk, "tmpfs", 0, "size=1024k")) {
		rmdir(disk);
		print_message("may not mount a small disk here: %s\n", strerror(errno));
		skip();
	}
	fill(other, 768 * 1024);
	snprintf(text, sizeof(text), "file://%s", file);
	sink = open_sink(text, &live);
	offer(sink, 0, 400);
	for (int ms = 0; !balanced(sink).disk_full && ms < PATIENCE_MS; ms++)
		usleep(1000);
	before = balanced(sink).written;
	assert_in_range(before, 100, 399);
	assert_int_equal(read_back(file, 0, &whole), before);
	assert_false(sink_failed(sink));
	assert_int_equal(unlink(other), 0);
	assert_true(written(sink, 400, PATIENCE_MS));
	assert_int_equal(stopped(sink, 2000).confirmed, 400);
	sink_free(sink);
	assert_int_equal(read_back(file, 0, &whole), 400);
	assert_true(whole);
	assert_int_equal(umount(disk), 0);
	rmdir(disk);
}

struct follower {
	const char *path;
	uint64_t from, frames;
	bool whole;
};

static void *follow(void *arg)
{
	struct follower *f = arg;

	f->frames = read_back(f->path, f->from, &f->whole);
	return NULL;
}

static void a_fifo_waits_for_its_reader(void **state)
{
	char path[sizeof(directory) + 32];
	struct follower f = {.path = path};
	pthread_t thread;
	struct sink *sink;

	(void)state;
	snprintf(path, sizeof(path), "%s", in_directory("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	sink = open_file("fifo", &live);
	offer(sink, 0, 1000);
	usleep(30000);
	assert_int_equal(balanced(sink).queued, 1000);
	assert_int_equal(pthread_create(&thread, NULL, follow, &f), 0);
	assert_true(written(sink, 1000, PATIENCE_MS));
	assert_int_equal(stopped(sink, SINK_STOP_MS).confirmed, 1000);
	pthread_join(thread, NULL);
	assert_int_equal(f.frames, 1000);
	assert_true(f.whole);
	sink_free(sink);

	sink = open_file("fifo", &live);
	offer(sink, 0, 10);
	assert_int_equal(stopped(sink, 500).lost_undelivered, 10);
	sink_free(sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_has_every_frame_and_its_end),
		cmocka_unit_test(a_file_without_frames_is_a_valid_stream),
		cmocka_unit_test(a_file_is_emptied_first_and_can_be_followed_live),
		cmocka_unit_test(what_cannot_be_a_file_is_refused_with_the_reason),
		cmocka_unit_test(devices_take_what_they_take),
		cmocka_unit_test(a_full_disk_keeps_the_file_whole_and_goes_on),
		cmocka_unit_test(a_fifo_waits_for_its_reader),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
