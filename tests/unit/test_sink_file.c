/* SPDX-License-Identifier: BSD-2-Clause */
/* The sinks that write to a path: a file, a FIFO, a device. */
#include <errno.h>
#include <fcntl.h>
#include <fstrm.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "test_sink_room.h"

static char directory[] = "/tmp/test-sink-file-XXXXXX";

static const char *in_directory(const char *name)
{
	static char path[sizeof(directory) + 32];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static struct sink *open_file(const char *name, const struct sink_options *options)
{
	char text[128];

	snprintf(text, sizeof(text), "file://%s", in_directory(name));
	return open_sink(text, options);
}

static void offer(struct sink *sink, uint64_t from, uint64_t upto)
{
	offer_frames(sink, from, upto, 2000);
}

static bool written(const struct sink *sink, uint64_t frames, uint64_t ms)
{
	uint64_t end = clock_monotonic() + ms * NS_PER_MS;

	while (balanced(sink).written + balanced(sink).confirmed < frames &&
		clock_monotonic() < end)
		usleep(200);
	return balanced(sink).written + balanced(sink).confirmed >= frames;
}

/* The frames from number `from` on, read by libfstrm; *ret_whole: the stream ended with STOP. */
static uint64_t read_back(const char *path, uint64_t from, bool *ret_whole)
{
	struct fstrm_file_options *options = fstrm_file_options_init();
	const struct fstrm_control *stop = NULL;
	struct fstrm_reader *reader;
	const uint8_t *bytes;
	uint64_t frames = 0, number;
	size_t len;

	fstrm_file_options_set_file_path(options, path);
	reader = fstrm_file_reader_init(options, NULL);
	fstrm_file_options_destroy(&options);
	assert_non_null(reader);
	while (fstrm_reader_read(reader, &bytes, &len) == fstrm_res_success) {
		memcpy(&number, bytes, sizeof(number));
		assert_int_equal(number, from + frames);
		assert_int_equal(len, 8 + number * 7919 % 1992);
		frames++;
	}
	*ret_whole =
		fstrm_reader_get_control(reader, FSTRM_CONTROL_STOP, &stop) == fstrm_res_success &&
		stop;
	fstrm_reader_destroy(&reader);
	return frames;
}

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

static void fill(const char *path, off_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, size), 0);
	close(fd);
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

static int make_directory(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"whole", "empty", "socket", "fifo"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_directory(names[i]));
	return rmdir(directory);
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
		cmocka_unit_test(a_file_is_never_emptied_for_want_of_an_answer),
		cmocka_unit_test(what_is_in_the_place_of_a_moved_file_is_not_emptied),
		cmocka_unit_test(a_file_has_one_writer),
		cmocka_unit_test(a_reader_keeps_no_sink_from_its_file),
		cmocka_unit_test(a_file_comes_back_with_its_folder),
		cmocka_unit_test(a_replay_does_not_wait_for_a_folder),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
