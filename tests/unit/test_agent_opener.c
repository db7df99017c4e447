/* SPDX-License-Identifier: BSD-2-Clause */
/* The opener: what the configuration names it opens, in every way a sink needs, and nothing else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/opener.h"
#include "agent/opener_rules.h"
#include "base/log.h"
#include "sink/spool_folder.h"

enum { WORDS = 16, PATH = 512 };

static char folder[] = "/tmp/test-opener-XXXXXX";

struct room {
	char words[WORDS][PATH];
	char *argv[WORDS + 1];
	struct options_source source;
	struct options options;
	struct opener *opener;
};

/* A command line; "@" in a word is the test's folder. */
static void say(struct room *r, const char *const *words)
{
	char error[OPTIONS_ERROR_MAX];
	int argc = 0;

	r->argv[argc++] = strcpy(r->words[0], "dnstap-bpf");
	for (; *words; words++, argc++) {
		const char *at = strchr(*words, '@');
		size_t before = at ? (size_t)(at - *words) : strlen(*words);

		snprintf(r->words[argc], PATH, "%.*s%s%s", (int)before, *words, at ? folder : "",
			at ? at + 1 : "");
		r->argv[argc] = r->words[argc];
	}
	r->argv[argc] = NULL;
	r->source = (struct options_source){.argc = argc, .argv = r->argv};
	if (options_parse_from(&r->source, &r->options, error))
		fail_msg("%s", error);
}

static struct room *start(const char *const *words)
{
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	say(r, words);
	assert_int_equal(opener_start(&r->options, &r->source, &r->opener), 0);
	return r;
}

static void finish(struct room *r)
{
	opener_stop(r->opener);
	options_free(&r->options);
	free(r);
}

static const char *in_folder(const char *name)
{
	static char path[PATH];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int open_path(struct room *r, const char *path, int flags)
{
	const struct sink_files *files = opener_files(r->opener);

	return files->open(files->arg, path, flags, 0644);
}

static int try_open(struct room *r, const char *name, int flags)
{
	int fd = open_path(r, in_folder(name), flags);

	if (fd >= 0) {
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
		return 0;
	}
	return fd;
}

enum {
	CREATE = O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY | O_CREAT,
	CREATE_NEW = CREATE | O_EXCL,
};

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

static bool allows(const char *sink, const char *path, enum opener_verb verb, int flags)
{
	struct room *r = calloc(1, sizeof(*r));
	struct opener_request request = {.verb = verb, .flags = flags};
	bool allowed;

	assert_non_null(r);
	say(r, (const char *[]){sink, NULL});
	snprintf(request.path, sizeof(request.path), "%s", path);
	allowed = opener_rules_allow(&r->options, &request);
	options_free(&r->options);
	free(r);
	return allowed;
}

static bool creates(const char *template, const char *path)
{
	char sink[PATH];

	snprintf(sink, sizeof(sink), "file://%s", template);
	return allows(sink, path, OPENER_OPEN, CREATE_NEW);
}

static void test_templates(void **state)
{
	(void)state;
	assert_true(creates("/v/d-%Y%m%d.fstrm", "/v/d-20240102.fstrm"));
	assert_true(creates("/v/d-%Y%m%d.fstrm", "/v/d-20240102.fstrm.17"));
	assert_true(creates("/v/%H/%_5e%%x-%Z", "/v/07/    2%x-CET"));
	assert_true(creates("/v/%Y", "/v/2024.1"));
	assert_true(creates("/v/a%Sb%Sb", "/v/abbbb"));
	assert_true(creates("/v/x?rotate-size=1M", "/v/x.9999"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-2024.fstrn"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-2024.fstrm.10000"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-2024.fstrm.1x"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-20/24.fstrm"));
	assert_false(creates("/v/%Y/x", "/v/../x"));
	assert_false(creates("/v/%Y/x", "/v/./x"));
	assert_false(creates("/v/%Y%m", "/v/a/b"));
	assert_false(creates("/v/x", "/v/x.1"));
	assert_false(creates("/v/x?rotate-size=1M", "/v/x.1.2"));
	assert_false(creates("/v/x?rotate-size=1M", "/v/x1"));
}

/* Of what was written before neither a byte nor the name goes. */
static void test_older_files(void **state)
{
	static const char sink[] = "file:///v/d-%Y.fstrm";

	(void)state;
	assert_false(allows(sink, "/v/d-2023.fstrm", OPENER_OPEN, CREATE | O_TRUNC));
	assert_false(allows(sink, "/v/d-2023.fstrm", OPENER_OPEN, CREATE));
	assert_false(allows(sink, "/v/d-2023.fstrm", OPENER_UNLINK, 0));
	assert_true(allows(sink, "/v/d-2023.fstrm", OPENER_DISCARD, 0));
	assert_true(allows(sink, "/v/d-2023.fstrm", OPENER_STATUS, 0));
	assert_false(allows("file:///v/x?rotate-size=1M", "/v/x", OPENER_OPEN, CREATE | O_TRUNC));
	assert_false(allows("file:///v/x?rotate-size=1M", "/v/x", OPENER_OPEN, CREATE));
	assert_false(allows("file:///v/x?rotate-size=1M", "/v/x", OPENER_OPEN, O_WRONLY));
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

static void test_tls(void **state)
{
	static const char sink[] = "tls://h?tls-ca=/c/ca&tls-cert=/c/cert.pem&tls-key=/c/key.pem";

	(void)state;
	assert_true(allows(sink, "/c/ca", OPENER_OPEN, O_RDONLY | O_DIRECTORY));
	assert_true(allows(sink, "/c/ca/12345678.0", OPENER_OPEN, O_RDONLY));
	assert_true(allows(sink, "/c/key.pem", OPENER_OPEN, O_RDONLY));
	assert_true(allows(sink, "/c/cert.pem", OPENER_STATUS, 0));
	assert_false(allows(sink, "/c/key.pem", OPENER_OPEN, O_WRONLY));
	assert_false(allows(sink, "/c/key.pem", OPENER_OPEN, O_RDONLY | O_TRUNC));
	assert_false(allows(sink, "/c/ca/../key", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/ca/..", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/other.pem", OPENER_OPEN, O_RDONLY));
	assert_true(allows(sink, "/c/ca/12345678.r1", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/ca/ca.key", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/ca/ca.key", OPENER_STATUS, 0));
	assert_false(allows("unix:///s", "/c/key.pem", OPENER_OPEN, O_RDONLY));
}

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

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The only child. */
static pid_t child(void)
{
	FILE *from = fopen("/proc/thread-self/children", "r");
	int pid = 0;

	assert_non_null(from);
	assert_int_equal(fscanf(from, "%d", &pid), 1);
	fclose(from);
	return pid;
}

static void test_ends(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	pid_t pid = child();
	uint64_t begun = now_ms();

	(void)state;
	kill(pid, SIGTERM);
	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	assert_int_equal(try_open(r, "x", CREATE), 0);
	finish(r);
	assert_true(now_ms() - begun < 500);
	assert_int_equal(kill(pid, 0), -1);
	unlink(in_folder("x"));
}

/* What it was asked while it was stopped holds nobody up for longer than he has time. */
static void test_stopped(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	uint64_t begun = now_ms();

	(void)state;
	opener_begin_loop(r->opener);
	assert_int_equal(kill(child(), SIGSTOP), 0);
	assert_int_equal(try_open(r, "x", CREATE), -ETIMEDOUT);
	assert_in_range(now_ms() - begun, OPENER_LOOP_MS - 10, OPENER_LOOP_MS + 200);
	begun = now_ms();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(try_open(r, "x", CREATE), -ETIMEDOUT);
	assert_in_range(now_ms() - begun, 0, 200);
	assert_int_equal(kill(child(), SIGCONT), 0);
	while (try_open(r, "x", CREATE) == -ETIMEDOUT)
		assert_in_range(now_ms() - begun, 0, 2000);
	assert_int_equal(try_open(r, "y", CREATE), -EPERM);
	finish(r);
	unlink(in_folder("x"));
}

/* What the exit asks at its end waits no more: there was time for an answer all the while. */
static void test_stopped_at_exit(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	const struct timespec sinks = {.tv_nsec = (OPENER_EXIT_MS + 20) * 1000000L};
	pid_t pid = child();
	uint64_t begun;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	opener_hurry(r->opener);
	nanosleep(&sinks, NULL);
	begun = now_ms();
	assert_int_equal(try_open(r, "x", CREATE), -ETIMEDOUT);
	assert_false(opener_ended(r->opener));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	finish(r);
	assert_in_range(now_ms() - begun, 0, OPENER_EXIT_MS / 2);
}

static void *ask_once(void *arg)
{
	return (void *)(intptr_t)try_open(arg, "x", CREATE);
}

/* The loop waits behind a sink that has more time as long as for its own; at the end nobody does.
 */
static void test_stopped_with_others(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	uint64_t begun;
	pthread_t sink;
	void *result;

	(void)state;
	opener_begin_loop(r->opener);
	assert_int_equal(kill(child(), SIGSTOP), 0);
	assert_int_equal(pthread_create(&sink, NULL, ask_once, r), 0);
	begun = now_ms();
	while (now_ms() - begun < 50)
		sched_yield();
	for (int i = 0; i < 10; i++)
		assert_int_equal(opener_socket(r->opener, 0, NETNS_PACKET), -ETIMEDOUT);
	assert_in_range(now_ms() - begun, 0, OPENER_LOOP_MS + 200);
	opener_hurry(r->opener);
	pthread_join(sink, &result);
	assert_int_equal((intptr_t)result, -ETIMEDOUT);
	assert_in_range(now_ms() - begun, 0, OPENER_EXIT_MS + 200);
	begun = now_ms();
	kill(child(), SIGKILL);
	finish(r);
	assert_in_range(now_ms() - begun, 0, 200);
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

static unsigned int lines;

static void count_line(const char *line)
{
	lines += strstr(line, "opener has ended") != NULL;
}

/* Killed, or ended by its own list of system calls: an error, and one line. */
static void test_killed(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});

	(void)state;
	lines = 0;
	log_set_function(count_line);
	kill(child(), SIGKILL);
	assert_int_equal(try_open(r, "x", CREATE), -EPIPE);
	assert_int_equal(try_open(r, "x", CREATE), -EPIPE);
	assert_int_equal(lines, 1);
	assert_true(opener_ended(r->opener) && opener_ended(r->opener));
	assert_int_equal(lines, 2);
	log_set_function(NULL);
	finish(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_older_files),
		cmocka_unit_test(test_existing),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stopped_at_exit),
		cmocka_unit_test(test_stopped_with_others),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_killed),
	};
	int failed;

	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	log_set_function(NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
