/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/opener_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/confine.h"
#include "agent/grants.h"
#include "agent/opener_protocol.h"
#include "base/clock.h"
#include "base/log.h"
#include "sink/files.h"

enum { SERVE_FD = STDERR_FILENO + 1, LIFE_FD };

struct server {
	struct grants *grants;
	struct netns *netns; /* of the start's options: a reload does not change them */
	const struct options *start;
	bool awaited_told;
	struct log_limit refused;
	struct opener_request request;
	struct opener_answer answer;
	size_t answer_len;
};

static const char *const verbs[] = {
	[OPENER_OPEN] = "open",
	[OPENER_CONNECT] = "connect to",
	[OPENER_WATCH] = "watch",
	[OPENER_STATUS] = "look at",
	[OPENER_WRITABLE] = "look at",
	[OPENER_MKDIR] = "make",
	[OPENER_UNLINK] = "remove",
	[OPENER_DISCARD] = "remove",
	[OPENER_RENAME] = "rename",
	[OPENER_SOCKET] = "open a packet socket",
	[OPENER_NETNS_LIST] = "list network namespaces",
	[OPENER_RELOAD] = "read the options again",
	[OPENER_COMMIT] = "take other options",
	[OPENER_ABORT] = "drop options",
	[OPENER_FORGET] = "forget options",
};

static int refuse(struct server *s)
{
	const struct opener_request *r = &s->request;
	uint64_t suppressed;

	if (log_allowed(&s->refused, clock_monotonic(), &suppressed))
		log_error("the opener refuses to %s %s: the configuration does not name it",
			r->verb < sizeof(verbs) / sizeof(verbs[0]) ? verbs[r->verb] : "do that to",
			r->path);
	return -EPERM;
}

/* A replay needs no sockets. */
static int open_netns(const struct options *options, struct netns **ret)
{
	*ret = NULL;
	return options->read ? 0 : netns_new(options->netns, options->netns_count, ret);
}

/* A name that is mistyped would be waited for in silence. */
static void tell_awaited(struct server *s)
{
	const struct options *o = s->start;

	for (size_t i = 0; i < o->netns_count && !s->awaited_told; i++)
		if (strcmp(o->netns[i], "all") && !netns_met(s->netns, i))
			log_warn("--netns %s: no other network namespace, container or process "
				 "has this name yet: waiting for it",
				o->netns[i]);
	s->awaited_told = true;
}

static int list(struct server *s)
{
	int count = netns_list(s->netns, s->answer.entries, NETNS_MAX);

	if (count >= 0)
		tell_awaited(s);
	if (count > 0)
		s->answer_len = OPENER_ANSWER_HEAD + (size_t)count * sizeof(s->answer.entries[0]);
	return count;
}

static int look(struct server *s)
{
	s->answer_len = OPENER_ANSWER_HEAD + sizeof(s->answer.status);
	return files_plain.status(NULL, s->request.path, &s->answer.status);
}

/* A descriptor, which goes into *ret_fd, or a result. */
static int take(int got, int *ret_fd)
{
	*ret_fd = got;
	return got < 0 ? got : 0;
}

/*
 * What a file sink appends to without making it is a pipe or a device: a file that is there already
 * is another one's, and whoever has it open may empty it.
 */
static int open_file(const struct opener_request *r)
{
	int fd = files_plain.open(NULL, r->path, r->flags, r->mode & 0777);
	struct stat status;

	if (fd < 0 || !(r->flags & O_APPEND) || r->flags & O_CREAT)
		return fd;
	if (!fstat(fd, &status) && !S_ISREG(status.st_mode))
		return fd;
	close(fd);
	return -EEXIST;
}

static int perform(struct server *s, int *ret_fd)
{
	const struct opener_request *r = &s->request;
	const mode_t mode = r->mode & 0777;

	switch ((enum opener_verb)r->verb) {
	case OPENER_OPEN:
		return take(open_file(r), ret_fd);
	case OPENER_CONNECT:
		return take(files_plain.connect(NULL, r->path), ret_fd);
	case OPENER_WATCH:
		return take(files_plain.watch(NULL, r->path, (uint32_t)r->flags), ret_fd);
	case OPENER_STATUS:
		return look(s);
	case OPENER_WRITABLE:
		return files_plain.writable(NULL, r->path);
	case OPENER_MKDIR:
		return files_plain.mkdir(NULL, r->path, mode);
	case OPENER_UNLINK:
		return files_plain.unlink(NULL, r->path);
	case OPENER_DISCARD:
		return files_plain.discard(NULL, r->path);
	case OPENER_RENAME:
		return files_plain.rename(NULL, r->path, r->to);
	case OPENER_SOCKET:
		return take(netns_socket(s->netns, r->netns, (enum netns_socket)r->flags), ret_fd);
	case OPENER_NETNS_LIST:
		return list(s);
	case OPENER_RELOAD:
		return grants_reload(s->grants);
	case OPENER_COMMIT:
		grants_commit(s->grants, r->kept, r->kept_count);
		return 0;
	case OPENER_ABORT:
		grants_abort(s->grants);
		return 0;
	case OPENER_FORGET:
		grants_forget(s->grants);
		return 0;
	case OPENER_HELLO:
		return 0;
	}
	return -EINVAL;
}

static int send_answer(struct server *s, int fd, int handed)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = &s->answer, .iov_len = s->answer_len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	if (handed >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &handed, sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* False when the other side is gone. */
static bool answer_one(struct server *s, int fd)
{
	struct opener_request *r = &s->request;
	ssize_t len = recv(fd, r, sizeof(*r), 0);
	int handed = -1, err;

	if (len < 0)
		return errno == EINTR;
	if (len != sizeof(*r))
		return false;
	r->path[sizeof(r->path) - 1] = r->to[sizeof(r->to) - 1] = '\0';
	s->answer_len = OPENER_ANSWER_HEAD;
	s->answer.sequence = r->sequence;
	s->answer.result = grants_allow(s->grants, r) ? perform(s, &handed) : refuse(s);
	err = send_answer(s, fd, handed);
	if (handed >= 0)
		close(handed);
	return !err;
}

/* What ends the tap from a terminal or a service manager goes to this process too. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE,
		SIGTSTP, SIGTTIN, SIGTTOU};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/*
 * Also one that is stopped or hangs in a file system ends with the worker. Not by PR_SET_PDEATHSIG:
 * the worker's end may signal only what the worker's user may.
 */
static int die_with_worker(void)
{
	if (fcntl(LIFE_FD, F_SETOWN, getpid()) || fcntl(LIFE_FD, F_SETSIG, SIGKILL) ||
		fcntl(LIFE_FD, F_SETFL, O_ASYNC))
		return -errno;
	return 0;
}

/* Descriptors of the worker's that were open at the fork are none of ours. */
static int leave_worker(int fd, int life)
{
	ignore_signals();
	prctl(PR_SET_NAME, "dnstap-opener", 0, 0, 0);
	/* above all, so that neither takes the other's place */
	fd = fcntl(fd, F_DUPFD_CLOEXEC, LIFE_FD + 1);
	life = fcntl(life, F_DUPFD_CLOEXEC, LIFE_FD + 1);
	if (fd < 0 || life < 0 || dup3(fd, SERVE_FD, O_CLOEXEC) < 0 ||
		dup3(life, LIFE_FD, O_CLOEXEC) < 0)
		return -errno;
	return close_range(LIFE_FD + 1, ~0U, 0) ? -errno : die_with_worker();
}

static _Noreturn void serve(
	int fd, int life, const struct options *options, const struct options_source *source)
{
	struct server *s = calloc(1, sizeof(*s));
	int err = s ? leave_worker(fd, life) : -ENOMEM;

	if (err)
		_exit(EXIT_FAILURE);
	s->start = options;
	s->grants = grants_new(options, source);
	err = s->grants ? confine_opener(options) : -ENOMEM;
	if (!err)
		err = open_netns(options, &s->netns);
	s->answer.result = err;
	s->answer_len = OPENER_ANSWER_HEAD;
	if (!send_answer(s, SERVE_FD, -1) && !err)
		while (answer_one(s, SERVE_FD))
			;
	_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}

pid_t opener_fork(const struct options *options, const struct options_source *source, int *ret_fd,
	int *ret_life)
{
	int pair[2], life[2], pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	*ret_fd = pair[0];
	if (pipe2(life, O_CLOEXEC)) {
		pid = -errno;
		close(pair[1]);
		return pid;
	}
	*ret_life = life[1];
	pid = fork();
	if (pid == 0)
		serve(pair[1], life[0], options, source);
	if (pid < 0)
		pid = -errno;
	close(pair[1]);
	close(life[0]);
	return pid;
}
