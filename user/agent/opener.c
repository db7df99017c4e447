/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/opener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/opener_protocol.h"
#include "agent/opener_serve.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	STOP_MS = 1000,
	STOP_STEP_MS = 2,
	SLICE_MS = 50, /* between two looks at whether the tap is ending */
};

struct opener {
	int fd, life_fd; /* life_fd: closed, it is killed */
	pid_t pid;
	struct sink_files files;
	pthread_t loop;
	atomic_bool looping, hurried;
	_Atomic uint64_t asked;       /* when, monotonic ns, while an answer is owed; else 0 */
	struct opener_request commit; /* the loop's own */
	bool commit_due;

	pthread_mutex_t lock; /* around one request and its answer; for all below */
	bool gone, slow;      /* told */
	bool cut;             /* the last answer's descriptor found no room */
	bool listed;          /* there is a list that came too late */
	uint32_t sequence, verb;
	struct opener_answer answer, list;
};

/* The descriptor that came with a message, or -1. */
static int descriptor_of(struct msghdr *message)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* How long the calling thread waits for what was asked, ns. */
static uint64_t patience(const struct opener *o)
{
	if (atomic_load(&o->hurried))
		return OPENER_EXIT_MS * NS_PER_MS;
	if (atomic_load(&o->looping) && pthread_equal(pthread_self(), o->loop))
		return OPENER_LOOP_MS * NS_PER_MS;
	return OPENER_PATIENCE_S * NS_PER_SECOND;
}

/* False when the time is over. */
static bool wait_readable(const struct opener *o, uint64_t since)
{
	struct pollfd p = {.fd = o->fd, .events = POLLIN};
	uint64_t until = since + patience(o), now = clock_monotonic(), ms;

	if (now >= until)
		return false;
	ms = (until - now) / NS_PER_MS + 1;
	poll(&p, 1, ms < SLICE_MS ? (int)ms : SLICE_MS);
	return true;
}

static ssize_t receive(struct opener *o, uint64_t since, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = &o->answer, .iov_len = sizeof(o->answer)};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t len;

	while ((len = recvmsg(o->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0 &&
		(errno == EAGAIN || errno == EINTR))
		if (!wait_readable(o, since))
			return -ETIMEDOUT;
	*ret_fd = len > 0 ? descriptor_of(&message) : -1;
	o->cut = len > 0 && message.msg_flags & MSG_CTRUNC;
	if (len < 0 && errno != ECONNRESET)
		return -errno;
	return len >= (ssize_t)OPENER_ANSWER_HEAD ? len : -EPIPE;
}

/* The answer to the last request. 0, or why there is none. */
static int await(struct opener *o, uint64_t since, int *ret_fd)
{
	ssize_t len = receive(o, since, ret_fd);

	if (len < 0)
		return (int)len;
	atomic_store(&o->asked, 0);
	return o->answer.sequence == o->sequence ? 0 : -EPROTO;
}

/* What came too late for whoever asked. Only a list is still of use, to the next who asks. */
static int settle(struct opener *o)
{
	uint64_t since = atomic_load(&o->asked);
	int fd = -1, err = since ? await(o, since, &fd) : 0;

	if (fd >= 0)
		close(fd);
	if (since && !err && o->verb == OPENER_NETNS_LIST) {
		o->list = o->answer;
		o->listed = true;
	}
	return err;
}

static int post(struct opener *o, struct opener_request *r)
{
	o->sequence = o->sequence == UINT32_MAX ? 1 : o->sequence + 1;
	o->verb = r->verb;
	r->sequence = o->sequence;
	if (send(o->fd, r, sizeof(*r), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	atomic_store(&o->asked, clock_monotonic());
	return 0;
}

/* One line each, until it answers again. */
static int lost(struct opener *o, int err)
{
	if (err == -EPIPE && !o->gone)
		log_error("the opener has ended: what needs its rights cannot be opened any more; "
			  "start the tap again");
	if (err == -ETIMEDOUT && !o->slow)
		log_warn("the opener does not answer: new interfaces, files and connections wait "
			 "for it (is it stopped, or does a file system hang?)");
	if (err == -EPIPE)
		atomic_store(&o->asked, 0);
	o->gone |= err == -EPIPE;
	o->slow |= err == -ETIMEDOUT;
	return err;
}

/* The result; or where wants_fd says so a descriptor. Under the lock. */
static int ask(struct opener *o, struct opener_request *r, bool wants_fd)
{
	int fd = -1, err = settle(o);

	if (!err)
		err = post(o, r);
	if (!err)
		err = await(o, atomic_load(&o->asked), &fd);
	if (err)
		return lost(o, err);
	o->slow = false;
	if (o->answer.result >= 0 && wants_fd)
		return fd >= 0 ? fd : o->cut ? -EMFILE : -EPROTO;
	if (fd >= 0)
		close(fd);
	return o->answer.result;
}

/* Behind another's request nobody waits for longer than for one of his own. */
static int lock(struct opener *o)
{
	uint64_t asked = atomic_load(&o->asked);
	uint64_t until = (asked ? asked : clock_monotonic()) + patience(o);
	const struct timespec at = {.tv_sec = (time_t)(until / NS_PER_SECOND),
		.tv_nsec = (long)(until % NS_PER_SECOND)};

	return pthread_mutex_clocklock(&o->lock, CLOCK_MONOTONIC, &at) ? -ETIMEDOUT : 0;
}

static int call(struct opener *o, struct opener_request *r, bool wants_fd)
{
	int result = lock(o);

	if (result)
		return result;
	result = ask(o, r, wants_fd);
	pthread_mutex_unlock(&o->lock);
	return result;
}

static bool set_path(char to[static PATH_MAX], const char *path)
{
	return snprintf(to, PATH_MAX, "%s", path) < PATH_MAX;
}

static int call_path(struct opener *o, struct opener_request *r, const char *path, bool wants_fd)
{
	return set_path(r->path, path) ? call(o, r, wants_fd) : -ENAMETOOLONG;
}

static int call_simple(struct opener *o, enum opener_verb verb, const char *path)
{
	struct opener_request r = {.verb = verb};

	return call_path(o, &r, path, verb == OPENER_CONNECT);
}

static int files_open(void *arg, const char *path, int flags, mode_t mode)
{
	struct opener_request r = {.verb = OPENER_OPEN, .flags = flags, .mode = mode};

	return call_path(arg, &r, path, true);
}

static int files_connect(void *arg, const char *path)
{
	return call_simple(arg, OPENER_CONNECT, path);
}

static int files_watch(void *arg, const char *folder, uint32_t events)
{
	struct opener_request r = {.verb = OPENER_WATCH, .flags = (int32_t)events};

	return call_path(arg, &r, folder, true);
}

static int files_status(void *arg, const char *path, struct stat *ret)
{
	struct opener_request r = {.verb = OPENER_STATUS};
	struct opener *o = arg;
	int result = set_path(r.path, path) ? lock(o) : -ENAMETOOLONG;

	if (result)
		return result;
	result = ask(o, &r, false);
	if (!result)
		*ret = o->answer.status;
	pthread_mutex_unlock(&o->lock);
	return result;
}

static int files_writable(void *arg, const char *path)
{
	return call_simple(arg, OPENER_WRITABLE, path);
}

static int files_mkdir(void *arg, const char *path, mode_t mode)
{
	struct opener_request r = {.verb = OPENER_MKDIR, .mode = mode};

	return call_path(arg, &r, path, false);
}

static int files_unlink(void *arg, const char *path)
{
	return call_simple(arg, OPENER_UNLINK, path);
}

static int files_discard(void *arg, const char *path)
{
	return call_simple(arg, OPENER_DISCARD, path);
}

static int files_rename(void *arg, const char *from, const char *to)
{
	struct opener_request r = {.verb = OPENER_RENAME};

	return set_path(r.to, to) ? call_path(arg, &r, from, false) : -ENAMETOOLONG;
}

int opener_socket(void *arg, uint64_t netns, enum netns_socket kind)
{
	struct opener_request r = {.verb = OPENER_SOCKET, .netns = netns, .flags = (int32_t)kind};

	return call(arg, &r, true);
}

/* A list that came after its time is taken for the one that is asked for now. */
static int list(struct opener *o, struct netns_entry *ret, size_t max)
{
	struct opener_request r = {.verb = OPENER_NETNS_LIST};
	int err = settle(o), count;

	if (err)
		return lost(o, err);
	count = o->listed ? o->list.result : ask(o, &r, false);
	if (count > (int)max)
		count = (int)max;
	if (count > 0)
		memcpy(ret, o->listed ? o->list.entries : o->answer.entries,
			(size_t)count * sizeof(*ret));
	o->listed = false;
	return count;
}

int opener_netns_list(void *arg, struct netns_entry *ret, size_t max)
{
	struct opener *o = arg;
	int count = lock(o);

	if (count)
		return count;
	count = list(o, ret, max);
	pthread_mutex_unlock(&o->lock);
	return count;
}

/* What was not heard is said again before the next reload. */
static int say_commit(struct opener *o)
{
	int err = o->commit_due ? call(o, &o->commit, false) : 0;

	o->commit_due = err == -ETIMEDOUT;
	return err;
}

int opener_reload(struct opener *o, uint32_t *ret_reading)
{
	struct opener_request r = {.verb = OPENER_RELOAD};
	int number = say_commit(o);

	if (!number)
		number = call(o, &r, false);
	if (number < 0)
		return number;
	*ret_reading = (uint32_t)number;
	return 0;
}

void opener_commit(struct opener *o, const struct opener_place *kept, size_t count)
{
	o->commit = (struct opener_request){.verb = OPENER_COMMIT, .kept_count = (uint32_t)count};
	if (count)
		memcpy(o->commit.kept, kept, count * sizeof(*kept));
	o->commit_due = true;
	say_commit(o);
}

void opener_abort(struct opener *o)
{
	call_simple(o, OPENER_ABORT, "");
}

void opener_forget(struct opener *o)
{
	call_simple(o, OPENER_FORGET, "");
}

void opener_begin_loop(struct opener *o)
{
	o->loop = pthread_self();
	atomic_store(&o->looping, true);
}

void opener_hurry(struct opener *o)
{
	struct opener_request r = {.verb = OPENER_HELLO};

	atomic_store(&o->hurried, true);
	if (pthread_mutex_trylock(&o->lock))
		return; /* then it is being asked something */
	if (!settle(o))
		post(o, &r);
	pthread_mutex_unlock(&o->lock);
}

const struct sink_files *opener_files(const struct opener *o)
{
	return &o->files;
}

int opener_fd(const struct opener *o)
{
	return o->fd;
}

static struct opener *opener_new(void)
{
	struct opener *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->fd = o->life_fd = -1;
	pthread_mutex_init(&o->lock, NULL);
	o->files = (struct sink_files){
		.open = files_open,
		.connect = files_connect,
		.watch = files_watch,
		.status = files_status,
		.writable = files_writable,
		.mkdir = files_mkdir,
		.unlink = files_unlink,
		.discard = files_discard,
		.rename = files_rename,
		.arg = o,
	};
	return o;
}

/* Forks it, and waits until it says that it is ready. */
static int start(
	struct opener *o, const struct options *options, const struct options_source *source)
{
	int fd, err;

	o->pid = opener_fork(options, source, &o->fd, &o->life_fd);
	err = o->pid < 0 ? o->pid : await(o, clock_monotonic(), &fd);
	return err ? err : o->answer.result;
}

int opener_start(
	const struct options *options, const struct options_source *source, struct opener **ret)
{
	struct opener *o = opener_new();
	int err = o ? start(o, options, source) : -ENOMEM;

	if (err) {
		log_error("cannot start the opener: %s", strerror(-err));
		opener_stop(o);
		return err;
	}
	*ret = o;
	return 0;
}

/* One that cannot even be killed hangs in a file system, and is left there. */
static int wait_end(struct opener *o)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_MS * 1000000L};
	int status = 0;

	for (int ms = 0; ms < STOP_MS && !waitpid(o->pid, &status, WNOHANG); ms += STOP_STEP_MS)
		nanosleep(&step, NULL);
	o->pid = 0;
	return status;
}

bool opener_ended(struct opener *o)
{
	struct pollfd p = {.fd = o->fd};
	int status;

	if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLHUP))
		return false;
	if (!o->pid)
		return true;
	status = wait_end(o);
	log_error("the opener has ended (%s %d): stopping",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return true;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What does not answer now never will. */
void opener_stop(struct opener *o)
{
	if (!o)
		return;
	if (settle(o) == -ETIMEDOUT)
		close_fd(&o->life_fd);
	close_fd(&o->fd);
	if (o->pid > 0)
		wait_end(o);
	close_fd(&o->life_fd);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
