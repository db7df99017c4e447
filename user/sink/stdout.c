/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport to standard output, for lines. It must never block, and O_NONBLOCK belongs to the
 * open file that the shell and other programs share. So a pipe or a terminal is opened once more
 * through /proc, with O_NONBLOCK for us alone. Where that is refused (a socket, another user's
 * terminal) the descriptor is used as it is, in pieces for which poll has promised room.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/transport.h"

struct stdout_transport {
	struct transport base;
	bool may_block;
};

static int stdout_open(struct transport *t, struct wait *wait)
{
	(void)wait;
	return t->fd < 0 ? -EPIPE : 0;
}

static ssize_t stdout_write(struct transport *t, const void *bytes, size_t len)
{
	const struct stdout_transport *s = (const struct stdout_transport *)t;
	struct pollfd p = {.fd = t->fd, .events = POLLOUT};
	ssize_t n;

	if (s->may_block) {
		if (poll(&p, 1, 0) <= 0)
			return -EAGAIN;
		if (len > PIPE_BUF)
			len = PIPE_BUF;
	}
	do {
		n = write(t->fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int stdout_check(struct transport *t)
{
	struct pollfd p = {.fd = t->fd};

	return poll(&p, 1, 0) > 0 && p.revents ? -EPIPE : 0;
}

static int stdout_close(struct transport *t)
{
	int rc = 0;

	if (t->fd >= 0 && close(t->fd))
		rc = -errno;
	t->fd = -1;
	return rc;
}

static void stdout_destroy(struct transport *t)
{
	free(t);
}

static int stdout_begin(struct stdout_transport *s, const struct sink_files *files)
{
	struct stat status;

	if (fstat(STDOUT_FILENO, &status))
		return -errno;
	if (S_ISFIFO(status.st_mode) || isatty(STDOUT_FILENO))
		s->base.fd = files->open(
			files->arg, FILES_STDOUT, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
	if (s->base.fd >= 0)
		return 0;
	s->base.fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	s->may_block = !S_ISREG(status.st_mode);
	return s->base.fd < 0 ? -errno : 0;
}

int stdout_transport_new(const struct sink_options *options, struct transport **ret)
{
	static const struct transport_ops ops = {
		.open = stdout_open,
		.write = stdout_write,
		.check = stdout_check,
		.close = stdout_close,
		.destroy = stdout_destroy,
	};
	struct stdout_transport *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->base.ops = &ops;
	s->base.fd = -1;
	s->base.news_fd = -1;
	s->base.wants = POLLOUT;
	s->base.patient = true;
	rc = stdout_begin(s, sink_files(options));
	if (rc) {
		transport_free(&s->base);
		return rc;
	}
	*ret = &s->base;
	return 0;
}
