/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport into a file. A regular file is created or emptied at start and stays open; what
 * a full disk took of a frame is cut off again, so the file is whole up to its last frame at any
 * time. A FIFO is opened when it has a reader, and again when it has one again: like a socket it
 * is never cut. Devices (/dev/null) are written to as they are. After a log rotation the file is
 * made, or taken over while it is empty; one that has something in it is never emptied then.
 *
 * A name with '%' is one for strftime(3), in local time; with it, or with rotation, there are many
 * files. None of them is ever opened on top of another: a name that is taken gets .1, .2, ...
 *
 * Whoever writes to a regular file has it locked before he empties it, so that two taps, or two
 * sinks, never write over each other. The lock is one that only who may write to the file can hold:
 * nobody who may but read it keeps a tap from it. It ends with the file, or with the tap.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/transport.h"

enum { NUMBER_MAX = 9999, NAME_MAX_BYTES = SINK_TEXT_MAX + 8 };

struct file_transport {
	struct transport base;
	const struct sink_files *files;
	char path[SINK_TEXT_MAX];
	char name[NAME_MAX_BYTES]; /* of the file that is open or was last */
	mode_t type;               /* S_IFREG, S_IFIFO, ... */
	bool many;                 /* each file has a new name */
	uint64_t rotate_size, rotate_interval;
	uint64_t size;     /* bytes in what is open */
	uint64_t again_at; /* monotonic ns: whether it was moved could not be seen; 0: it could */
};

/* O_NONBLOCK: a FIFO without a reader is refused with ENXIO and does not hang. */
enum { OPEN_FLAGS = O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY };

/* A descriptor or -errno. */
static int open_file(const struct file_transport *f, const char *name, int flags)
{
	return f->files->open(f->files->arg, name, OPEN_FLAGS | flags, 0644);
}

/* The next multiple of the interval, by the wall clock as it goes now. */
static void set_due(struct file_transport *f)
{
	const uint64_t interval = f->rotate_interval * NS_PER_SECOND;

	if (interval)
		f->base.due = clock_monotonic() + interval - clock_wall() % interval;
}

/* A new file by the name that the time makes of the path. */
static int open_next(struct file_transport *f)
{
	const time_t now = (time_t)(clock_wall() / NS_PER_SECOND);
	char name[SINK_TEXT_MAX];
	struct tm local;
	int fd = -EEXIST;

	if (!localtime_r(&now, &local) || !strftime(name, sizeof(name), f->path, &local)) {
		f->base.why = "the name is too long with its time filled in";
		return -ENAMETOOLONG;
	}
	for (int n = 0; fd == -EEXIST && n <= NUMBER_MAX; n++) {
		snprintf(f->name, sizeof(f->name), n ? "%s.%d" : "%s", name, n);
		fd = open_file(f, f->name, O_CREAT | O_EXCL);
	}
	if (fd == -EEXIST)
		f->base.why = "there are 10,000 files of its name";
	return fd;
}

/* For the person who runs the tap, where it says more than strerror. */
static void explain(struct file_transport *f, int rc)
{
	struct stat status;

	if (rc == -ELOOP)
		f->base.why = "it is a symbolic link, which is not followed in a folder that all "
			      "may write to: name the file itself";
	else if (rc == -EACCES && !f->files->status(f->files->arg, f->path, &status) &&
		 S_ISREG(status.st_mode))
		f->base.why = "permission denied; another user's file, as in /tmp, must be "
			      "removed first";
}

/* File systems without locks go without. 0 or -errno. */
static int lock_file(struct file_transport *f, int fd)
{
	struct flock lock = {.l_whence = SEEK_SET}; /* all of it, however long it gets */

	do {
		lock.l_type = F_WRLCK;
		if (!fcntl(fd, F_OFD_SETLK, &lock) || errno != EAGAIN)
			return 0;
	} while (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type == F_UNLCK);
	if (lock.l_type == F_RDLCK)
		return 0; /* a reader's */
	f->base.why = "another tap, or another sink of this one, writes to it";
	return -EBUSY;
}

/* What has been opened again, and is locked already. 0 or -errno. */
static int check_again(struct file_transport *f, int fd)
{
	struct stat status;

	if (fstat(fd, &status) || (status.st_mode & S_IFMT) != f->type) {
		f->base.why = "it has been replaced";
		return -EINVAL;
	}
	if (f->type == S_IFREG && status.st_size) {
		f->base.why = "there is another file in its place, which is not empty";
		return -EEXIST;
	}
	return 0;
}

/*
 * Again, after a connection over the FIFO has ended, a START found no room, or the file was
 * finished. It must still be what it was: another kind of file in its place is not ours to write
 * to.
 */
static int reopen(struct file_transport *f)
{
	int create = f->type == S_IFREG ? O_CREAT : 0;
	int fd = f->many ? open_next(f) : open_file(f, f->path, create), rc;

	if (fd == -ENXIO)
		f->base.why = "nobody reads it";
	if (fd < 0) {
		explain(f, fd);
		return fd;
	}
	rc = f->type == S_IFREG ? lock_file(f, fd) : 0;
	if (!rc)
		rc = check_again(f, fd);
	if (rc)
		close(fd);
	else
		f->base.fd = fd;
	return rc;
}

/* A regular file starts anew, at the start of the tap: reopen finds only empty ones. */
static int file_open(struct transport *t, struct wait *wait)
{
	struct file_transport *f = (struct file_transport *)t;
	int rc;

	(void)wait;
	t->why = NULL;
	rc = t->fd < 0 ? reopen(f) : 0;
	if (!rc && f->type == S_IFREG && ftruncate(t->fd, 0))
		rc = -errno;
	f->size = 0;
	set_due(f);
	return rc;
}

/*
 * The file that is open has been moved away or removed, as a log rotation does. Where nobody can
 * say (the opener does not answer) it has not, and the first batch a second later asks again.
 */
static bool moved(struct file_transport *f)
{
	const char *name = f->many ? f->name : f->path;
	struct stat open_one, named;
	int rc;

	f->again_at = 0;
	if (fstat(f->base.fd, &open_one))
		return false;
	rc = f->files->status(f->files->arg, name, &named);
	if (rc && rc != -ENOENT)
		f->again_at = clock_monotonic() + NS_PER_SECOND;
	if (rc)
		return rc == -ENOENT;
	return named.st_dev != open_one.st_dev || named.st_ino != open_one.st_ino;
}

/* A file that stays under its name is not opened again: that would empty it. */
static bool file_due(struct transport *t, bool again, bool empty)
{
	struct file_transport *f = (struct file_transport *)t;
	bool over = t->due && clock_monotonic() >= t->due;

	if (over)
		set_due(f);
	if (f->type != S_IFREG)
		return false;
	again |= f->again_at && clock_monotonic() >= f->again_at;
	if (again && moved(f))
		return true;
	return !empty &&
	       (over || (again && f->many) || (f->rotate_size && f->size >= f->rotate_size));
}

static ssize_t file_write(struct transport *t, const void *bytes, size_t len)
{
	struct file_transport *f = (struct file_transport *)t;
	ssize_t n;

	do {
		n = write(t->fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	f->size += (size_t)n;
	return n;
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
	struct file_transport *f = (struct file_transport *)t;
	struct stat status;

	if (f->type != S_IFREG)
		return -ESPIPE;
	if (len == 0)
		return 0;
	if (fstat(t->fd, &status))
		return -errno;
	if ((off_t)len > status.st_size)
		return -EINVAL;
	if (ftruncate(t->fd, status.st_size - (off_t)len))
		return -errno;
	f->size -= len;
	return 0;
}

/* One of many that has not even its START is nothing to leave behind. */
static int file_close(struct transport *t)
{
	struct file_transport *f = (struct file_transport *)t;
	int rc = 0;

	if (t->fd >= 0 && f->many && !f->size)
		rc = f->files->discard(f->files->arg, f->name);
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
		.due = file_due,
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

/* What stands there and is no regular file, as S_IFMT has it; else 0. */
static mode_t special_type(const struct file_transport *f)
{
	struct stat status;

	if (f->files->status(f->files->arg, f->path, &status) || S_ISREG(status.st_mode))
		return 0;
	return status.st_mode & S_IFMT;
}

/* A FIFO without a reader is opened once it has one. */
static int begin_without(struct file_transport *f, int rc, mode_t special)
{
	f->base.fd = -1;
	if (rc == -ENXIO && special == S_IFIFO) {
		f->type = special;
		return 0;
	}
	if (rc == -ENXIO && special == S_IFSOCK)
		f->base.why = "it is a socket: write unix:// instead of file://";
	explain(f, rc);
	return rc;
}

/* What is open now; nothing has been written to it. */
static int begin_with(struct file_transport *f, mode_t special)
{
	struct stat status;
	int rc;

	if (fstat(f->base.fd, &status))
		return -errno;
	if (special && S_ISREG(status.st_mode))
		return -EEXIST; /* it came this moment */
	f->type = status.st_mode & S_IFMT;
	rc = f->type == S_IFREG ? lock_file(f, f->base.fd) : 0;
	if (!rc && f->type == S_IFREG && moved(f)) {
		f->base.why = "it has been replaced this moment";
		rc = -EAGAIN;
	}
	return rc;
}

/* Opens the file and sees what it is; it is emptied later (file_open). */
static int file_begin(struct file_transport *f, mode_t special)
{
	int rc;

	if (special == S_IFBLK) {
		f->base.why = "it is a block device: a file is meant";
		return -EINVAL;
	}
	f->base.fd = f->many ? open_next(f) : open_file(f, f->path, special ? 0 : O_CREAT);
	rc = f->base.fd < 0 ? begin_without(f, f->base.fd, special) : begin_with(f, special);
	f->base.patient = f->type != S_IFREG;
	f->base.remote = f->type == S_IFIFO;
	return rc;
}

int file_transport_new(const struct sink_url *url, const struct sink_options *options,
	struct transport **ret, char *hint, size_t hint_size)
{
	const struct sink_settings *s = &url->settings;
	struct file_transport *f;
	struct transport *t;
	mode_t special;
	int rc = file_new(&t);

	if (rc)
		return rc;
	f = (struct file_transport *)t;
	f->files = sink_files(options);
	memcpy(f->path, url->target, strnlen(url->target, sizeof(f->path) - 1));
	f->rotate_size = s->rotate_size;
	f->rotate_interval = s->rotate_interval;
	special = special_type(f);
	f->many = (strchr(f->path, '%') || s->rotate_size || s->rotate_interval) && !special;
	if (f->many)
		t->name = f->name;
	tzset(); /* localtime_r need not */
	rc = file_begin(f, special);
	if (rc) {
		if (t->why)
			snprintf(hint, hint_size, "%s", t->why);
		transport_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}
