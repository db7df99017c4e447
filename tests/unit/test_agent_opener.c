/* SPDX-License-Identifier: BSD-2-Clause */
/* The opener: what the configuration names it opens, in every way a sink needs, and nothing else.
 */
#include "agent_opener_room.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sink/spool_folder.h"

static void test_file(void **state)
{
	struct room *r = start((const char *[]){"file://@/x.fstrm", NULL});

	(void)state;
	assert_int_equal(try_open(r, "x.fstrm", CREATE), 0);
	assert_int_equal(try_open(r, "x.fstrm", CREATE | O_TRUNC), -EPERM);
	assert_int_equal(try_open(r, "y.fstrm", CREATE), -EPERM);
	assert_int_equal(try_open(r, "x.fstrm.1", CREATE_NEW), -EPERM);
	assert_int_equal(try_open(r, "x.fstrm", O_RDONLY), -EPERM);
	assert_int_equal(try_open(r, "x.fstrm", O_RDWR), -EPERM);
	assert_int_equal(open_path(r, "/etc/shadow", O_RDONLY), -EPERM);
	assert_int_equal(opener_files(r->opener)->unlink(r->opener, in_folder("x.fstrm")), -EPERM);
	assert_int_equal(access(in_folder("y.fstrm"), F_OK), -1);
	finish(r);
	unlink(in_folder("x.fstrm"));
}

/* With rotation only a pipe or a device is opened as it is, not a file that is there. */
static void test_existing(void **state)
{
	struct room *r = start((const char *[]){"file://@/x?rotate-size=1M", NULL});

	(void)state;
	assert_int_equal(try_open(r, "x", CREATE_NEW), 0);
	assert_int_equal(try_open(r, "x", CREATE & ~O_CREAT), -EEXIST);
	assert_int_equal(unlink(in_folder("x")), 0);
	assert_int_equal(mkfifo(in_folder("x"), 0600), 0);
	assert_int_equal(try_open(r, "x", CREATE & ~O_CREAT), -ENXIO);
	unlink(in_folder("x"));
	finish(r);
}

static void test_discard(void **state)
{
	struct room *r = start((const char *[]){"file://@/x?rotate-interval=1h", NULL});
	const struct sink_files *files = opener_files(r->opener);
	int fd = open_path(r, in_folder("x"), CREATE_NEW);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "1", 1), 1);
	assert_int_equal(files->discard(files->arg, in_folder("x")), -ENOTEMPTY);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(files->discard(files->arg, in_folder("x")), 0);
	close(fd);
	finish(r);
}

static void test_unix(void **state)
{
	struct room *r = start((const char *[]){"unix://@/s", NULL});
	const struct sink_files *files = opener_files(r->opener);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, news;
	char event[4096];

	(void)state;
	assert_int_equal(files->connect(files->arg, in_folder("s")), -ENOENT);
	assert_int_equal(files->connect(files->arg, in_folder("other")), -EPERM);
	assert_int_equal(files->watch(files->arg, "/tmp", 0x100), -EPERM);
	news = files->watch(files->arg, folder, 0x100 /* IN_CREATE */);
	assert_true(news >= 0);
	assert_int_equal(read(news, event, sizeof(event)), -1);
	strcpy(address.sun_path, in_folder("s"));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(read(news, event, sizeof(event)) > 0);
	assert_int_equal(files->connect(files->arg, in_folder("s")), -ECONNREFUSED);
	assert_int_equal(listen(listener, 1), 0);
	fd = files->connect(files->arg, in_folder("s"));
	assert_true(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
	close(fd);
	close(news);
	close(listener);
	unlink(in_folder("s"));
	finish(r);
}

static void test_spool(void **state)
{
	struct room *r =
		start((const char *[]){"--spool", "@/spool", "unix://@/s", "tcp://h", NULL});
	const struct sink_files *files = opener_files(r->opener);
	char own[PATH], path[2 * PATH];

	(void)state;
	spool_folder_path(in_folder("spool"), &r->options.sinks[1], own, sizeof(own));
	assert_int_equal(files->mkdir(files->arg, in_folder("spool"), 0700), 0);
	assert_int_equal(files->mkdir(files->arg, in_folder("spoon"), 0700), -EPERM);
	assert_int_equal(files->mkdir(files->arg, own, 0700), 0);
	snprintf(path, sizeof(path), "%s/lock", own);
	close(files->open(files->arg, path, O_RDWR | O_CREAT, 0600));
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/000000000000000a.seg", own);
	close(files->open(files->arg, path, O_RDWR | O_CREAT | O_EXCL, 0600));
	assert_int_equal(files->unlink(files->arg, path), 0);
	snprintf(path, sizeof(path), "%s/x.seg", own);
	assert_int_equal(files->open(files->arg, path, O_RDWR | O_CREAT, 0600), -EPERM);
	snprintf(path, sizeof(path), "%s/../000000000000000a.seg", own);
	assert_int_equal(files->open(files->arg, path, O_RDWR | O_CREAT, 0600), -EPERM);
	rmdir(own);
	rmdir(in_folder("spool"));
	finish(r);
}

static void test_ledger(void **state)
{
	struct room *r = start((const char *[]){"--ledger", "@/l.json", "-", NULL});
	const struct sink_files *files = opener_files(r->opener);
	char name[PATH], ledger[PATH];
	int fd;

	(void)state;
	strcpy(ledger, in_folder("l.json"));
	fd = files_open_temporary(files, ledger, 0644, name, sizeof(name));
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(files->rename(files->arg, name, in_folder("other")), -EPERM);
	assert_int_equal(files->rename(files->arg, "/etc/hostname", ledger), -EPERM);
	assert_int_equal(files->rename(files->arg, name, ledger), 0);
	assert_int_equal(files->unlink(files->arg, ledger), -EPERM);
	assert_int_equal(try_open(r, "l.json.abc", O_WRONLY | O_CREAT | O_EXCL), -EPERM);
	unlink(ledger);
	finish(r);
}

static void test_sockets(void **state)
{
	struct room *r = start((const char *[]){"-", NULL});
	int fd = opener_socket(r->opener, 0, NETNS_PACKET);
	struct netns_entry entries[1];
	uint32_t reading;
	int protocol = -1;
	socklen_t len = sizeof(protocol);

	(void)state;
	if (geteuid() == 0) {
		assert_true(fd >= 0);
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len), 0);
		assert_int_equal(protocol, 0);
		close(fd);
	}
	assert_int_equal(opener_socket(r->opener, 1, NETNS_PACKET), -EPERM);
	assert_int_equal(opener_netns_list(r->opener, entries, 1), -EPERM);
	assert_int_equal(opener_reload(r->opener, &reading), -EPERM);
	finish(r);
}

static void *ask_often(void *arg)
{
	struct room *r = arg;
	const struct sink_files *files = opener_files(r->opener);
	uintptr_t wrong = 0;

	for (int i = 0; i < 500; i++) {
		int fd = files->open(files->arg, r->words[1] + strlen("file://"), CREATE, 0644);
		struct stat status;

		wrong += fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode);
		wrong += files->unlink(files->arg, "/nowhere") != -EPERM;
		if (fd >= 0)
			close(fd);
	}
	return (void *)wrong;
}

static void test_threads(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	pthread_t threads[4];
	void *wrong;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, r), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	finish(r);
	unlink(in_folder("x"));
}

/* So that the line about it can name the limit. */
static void test_no_descriptor_left(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	struct rlimit before, none = {0};
	int err;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = open_path(r, in_folder("x"), CREATE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(err, -EMFILE);
	finish(r);
	unlink(in_folder("x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_existing),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_descriptor_left),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
