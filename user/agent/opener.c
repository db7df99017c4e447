/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/opener_protocol.h"
#include "agent/opener_serve.h"
#include "base/clock.h"
#include "base/log.h"

enum { STOP_MS = 1000, STOP_STEP_MS = 2 };

struct opener {
	int fd;
	pid_t pid;
	struct sink_files files;
	pthread_mutex_t lock; /* around one request and its answer; for all below */
	bool gone;            /* told */
	uint32_t sequence;
	struct opener_request request;
	struct opener_answer answer;
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

static ssize_t receive(struct opener *o, int *ret_fd)
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

	do {
		len = recvmsg(o->fd, &message, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	*ret_fd = len > 0 ? descriptor_of(&message) : -1;
	if (len < 0 && errno != ECONNRESET)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return len >= (ssize_t)OPENER_ANSWER_HEAD ? len : -EPIPE;
}

/* What answers an earlier request came too late for whoever asked. */
static int await(struct opener *o, int *ret_fd)
{
	ssize_t len = receive(o, ret_fd);

	while (len > 0 && o->answer.sequence != o->sequence) {
		if (*ret_fd >= 0)
			close(*ret_fd);
		len = receive(o, ret_fd);
	}
	return len < 0 ? (int)len : o->answer.result;
}

static int lost(struct opener *o, int err)
{
	if (err == -EPIPE && !o->gone) {
		o->gone = true;
		log_error("the opener has ended: what needs its rights cannot be opened any more; "
			  "start the tap again");
	}
	return err;
}

/* Begins a request; end_request ends it. What the answer holds is read between the two. */
static struct opener_request *begin_request(struct opener *o, enum opener_verb verb)
{
	pthread_mutex_lock(&o->lock);
	memset(&o->request, 0, sizeof(o->request));
	o->request.verb = verb;
	o->sequence = o->sequence == UINT32_MAX ? 1 : o->sequence + 1;
	o->request.sequence = o->sequence;
	return &o->request;
}

static int end_request(struct opener *o, int result)
{
	pthread_mutex_unlock(&o->lock);
	return result;
}

static bool set_path(char to[static PATH_MAX], const char *path)
{
	return snprintf(to, PATH_MAX, "%s", path) < PATH_MAX;
}

/* The result; or where wants_fd says so a descriptor. */
static int ask(struct opener *o, bool wants_fd)
{
	int fd = -1, result;

	if (send(o->fd, &o->request, sizeof(o->request), MSG_NOSIGNAL) < 0)
		return lost(o, -EPIPE);
	result = await(o, &fd);
	if (result < 0)
		lost(o, result);
	if (result >= 0 && wants_fd)
		return fd >= 0 ? fd : -EPROTO;
	if (fd >= 0)
		close(fd);
	return result;
}

static int ask_path(struct opener *o, const char *path, bool wants_fd)
{
	return set_path(o->request.path, path) ? ask(o, wants_fd) : -ENAMETOOLONG;
}

int opener_open(struct opener *o, const char *path, int flags, mode_t mode)
{
	struct opener_request *r = begin_request(o, OPENER_OPEN);

	r->flags = flags;
	r->mode = mode;
	return end_request(o, ask_path(o, path, true));
}

static int files_open(void *arg, const char *path, int flags, mode_t mode)
{
	return opener_open(arg, path, flags, mode);
}

static int files_connect(void *arg, const char *path)
{
	struct opener *o = arg;

	begin_request(o, OPENER_CONNECT);
	return end_request(o, ask_path(o, path, true));
}

static int files_watch(void *arg, const char *folder, uint32_t events)
{
	struct opener *o = arg;

	begin_request(o, OPENER_WATCH)->flags = (int32_t)events;
	return end_request(o, ask_path(o, folder, true));
}

static int files_status(void *arg, const char *path, struct stat *ret)
{
	struct opener *o = arg;
	int result;

	begin_request(o, OPENER_STATUS);
	result = ask_path(o, path, false);
	if (!result)
		*ret = o->answer.status;
	return end_request(o, result);
}

static int files_writable(void *arg, const char *path)
{
	struct opener *o = arg;

	begin_request(o, OPENER_WRITABLE);
	return end_request(o, ask_path(o, path, false));
}

static int files_mkdir(void *arg, const char *path, mode_t mode)
{
	struct opener *o = arg;

	begin_request(o, OPENER_MKDIR)->mode = mode;
	return end_request(o, ask_path(o, path, false));
}

static int files_unlink(void *arg, const char *path)
{
	struct opener *o = arg;

	begin_request(o, OPENER_UNLINK);
	return end_request(o, ask_path(o, path, false));
}

static int files_discard(void *arg, const char *path)
{
	struct opener *o = arg;

	begin_request(o, OPENER_DISCARD);
	return end_request(o, ask_path(o, path, false));
}

static int files_rename(void *arg, const char *from, const char *to)
{
	struct opener *o = arg;
	struct opener_request *r = begin_request(o, OPENER_RENAME);
	bool fits = set_path(r->to, to);

	return end_request(o, fits ? ask_path(o, from, false) : -ENAMETOOLONG);
}

int opener_socket(void *arg, uint64_t netns, enum netns_socket kind)
{
	struct opener *o = arg;
	struct opener_request *r = begin_request(o, OPENER_SOCKET);

	r->netns = netns;
	r->flags = (int32_t)kind;
	return end_request(o, ask(o, true));
}

int opener_netns_list(void *arg, struct netns_entry *ret, size_t max)
{
	struct opener *o = arg;
	int count;

	begin_request(o, OPENER_NETNS_LIST);
	count = ask(o, false);
	if (count > 0) {
		if ((size_t)count > max)
			count = (int)max;
		memcpy(ret, o->answer.entries, (size_t)count * sizeof(*ret));
	}
	return end_request(o, count);
}

int opener_reload(struct opener *o)
{
	begin_request(o, OPENER_RELOAD);
	return end_request(o, ask(o, false));
}

const struct sink_files *opener_files(const struct opener *o)
{
	return &o->files;
}

pid_t opener_pid(const struct opener *o)
{
	return o->pid;
}

static struct opener *opener_new(void)
{
	struct opener *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->fd = -1;
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
	const struct timeval patience = {.tv_sec = OPENER_PATIENCE_S};
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	o->fd = pair[0];
	o->pid = fork();
	if (o->pid == 0) {
		close(pair[0]);
		opener_serve(pair[1], options, source);
	}
	close(pair[1]);
	if (o->pid < 0)
		return -errno;
	if (setsockopt(o->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	return await(o, &fd);
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

/* One that hangs in a file system is left to the signal that it gets when its parent is gone. */
static void wait_end(pid_t pid)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_MS * 1000000L};

	for (int ms = 0; ms < STOP_MS && !waitpid(pid, NULL, WNOHANG); ms += STOP_STEP_MS)
		nanosleep(&step, NULL);
}

void opener_stop(struct opener *o)
{
	if (!o)
		return;
	if (o->fd >= 0)
		close(o->fd);
	if (o->pid > 0)
		wait_end(o->pid);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
