/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport into a file. A regular file is created or emptied at start and stays open; what
 * a full disk took of a frame is cut off again, so the file is whole up to its last frame at any
 * time. A FIFO is opened when it has a reader, and again when it has one again: like a socket it
 * is never cut. Devices (/dev/null) are written to as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/transport.h"

struct file_transport {
	struct transport base;
	char path[SINK_TEXT_MAX];
	mode_t type; /* S_IFREG, S_IFIFO, ... */
};

/* O_NONBLOCK: a FIFO without a reader is refused with ENXIO and does not hang. */
enum { OPEN_FLAGS = O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY };

/*
 * Again, after a connection over the FIFO has ended or a START found no room. It must still be
 * what it was: another kind of file in its place is not ours to write to.
 */
static int reopen(struct file_transport *f)
{
	int create = f->type == S_IFREG ? O_CREAT : 0;
	struct stat status;
	int fd = open(f->path, OPEN_FLAGS | create, 0644);

	if (fd < 0) {
		if (errno == ENXIO)
			f->base.why = "nobody reads it";
		return -errno;
	}
	if (fstat(fd, &status) || (status.st_mode & S_IFMT) != f->type) {
		close(fd);
		f->base.why = "it has been replaced";
		return -EINVAL;
	}
	f->base.fd = fd;
	return 0;
}

/* A regular file starts anew: what a try that failed has left of the START is no stream. */
static int file_open(struct transport *t, struct wait *wait)
{
	struct file_transport *f = (struct file_transport *)t;
	int rc;

	(void)wait;
	t->why = NULL;
	rc = t->fd < 0 ? reopen(f) : 0;
	if (!rc && f->type == S_IFREG && ftruncate(t->fd, 0))
		rc = -errno;
	return rc;
}

static ssize_t file_write(struct transport *t, const void *bytes, size_t len)
{
	ssize_t n;

	do {
		n = write(t->fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int file_check(struct transport *t)
{
	const struct file_transport *f = (const struct file_transport *)t;
	struct pollfd p = {.fd = t->fd};

	if (f->type == S_IFREG)
		return 0;
	return poll(&p, 1, 0) > 0 && p.revents ? -EPIPE : 0;
}

static int file_cut(struct transport *t, size_t len)
{
	const struct file_transport *f = (const struct file_transport *)t;
	struct stat status;

	if (len == 0)
		return 0;
	if (f->type != S_IFREG)
		return -ESPIPE;
	if (fstat(t->fd, &status))
		return -errno;
	if ((off_t)len > status.st_size)
		return -EINVAL;
	return ftruncate(t->fd, status.st_size - (off_t)len) ? -errno : 0;
}

static int file_close(struct transport *t)
{
	int rc = 0;

	if (t->fd >= 0 && close(t->fd))
		rc = -errno;
	t->fd = -1;
	return rc;
}

static void file_destroy(struct transport *t)
{
	free(t);
}

static int file_new(struct transport **ret)
{
	static const struct transport_ops ops = {
		.open = file_open,
		.write = file_write,
		.check = file_check,
		.cut = file_cut,
		.close = file_close,
		.destroy = file_destroy,
	};
	struct file_transport *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base.ops = &ops;
	f->base.fd = -1;
	f->base.news_fd = -1;
	f->base.wants = POLLOUT;
	f->base.framed = true;
	*ret = &f->base;
	return 0;
}

/* Opens the file and sees what it is. */
static int file_begin(struct file_transport *f, char *hint, size_t hint_size)
{
	struct stat status;

	f->base.fd = open(f->path, OPEN_FLAGS | O_CREAT | O_TRUNC, 0644);
	if (f->base.fd < 0) {
		int rc = -errno;

		if (rc != -ENXIO || stat(f->path, &status))
			return rc;
		if (S_ISSOCK(status.st_mode))
			snprintf(hint, hint_size,
				"it is a socket: write unix:// instead of file://");
		if (!S_ISFIFO(status.st_mode))
			return rc;
	} else if (fstat(f->base.fd, &status)) {
		return -errno;
	}
	f->type = status.st_mode & S_IFMT;
	f->base.patient = f->type != S_IFREG;
	f->base.remote = f->type == S_IFIFO;
	return 0;
}

int file_transport_new(const char *path, struct transport **ret, char *hint, size_t hint_size)
{
	struct file_transport *f;
	struct transport *t;
	int rc = file_new(&t);

	if (rc)
		return rc;
	f = (struct file_transport *)t;
	memcpy(f->path, path, strnlen(path, sizeof(f->path) - 1));
	rc = file_begin(f, hint, hint_size);
	if (rc) {
		transport_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}
