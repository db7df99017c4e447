/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* O_NONBLOCK: a pipe that nobody writes to is opened at once, and then refused. */
static int open_to_read(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status = {0};

	if (fd < 0)
		return errno == ENXIO ? -FILES_NOT_REGULAR : -errno;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode))
		return fd;
	close(fd);
	return S_ISDIR(status.st_mode) ? -EISDIR : -FILES_NOT_REGULAR;
}

/* Where everybody may put a link to what only we may write to, as in /tmp. */
static bool is_shared(const char *path)
{
	char copy[PATH_MAX] = "";
	struct stat folder;

	memcpy(copy, path, strnlen(path, sizeof(copy) - 1));
	return !stat(dirname(copy), &folder) && (folder.st_mode & S_ISVTX) &&
	       (folder.st_mode & S_IWOTH);
}

/* The error that opening it gave; Linux has others too for a link where links are protected. */
static int open_error(const char *path, int error)
{
	struct stat status;

	return error == EACCES && !lstat(path, &status) && S_ISLNK(status.st_mode) ? -ELOOP
										   : -error;
}

/* Another user's link there the kernel refuses only where fs.protected_symlinks is set. */
static int open_to_write(const char *path, int flags, mode_t mode)
{
	const bool careful = (flags & O_ACCMODE) != O_RDONLY && is_shared(path);
	int fd = open(path, flags | O_CLOEXEC | (careful ? O_NOFOLLOW : 0), mode);

	if (fd >= 0)
		return fd;
	return careful ? open_error(path, errno) : -errno;
}

static int plain_open(void *arg, const char *path, int flags, mode_t mode)
{
	(void)arg;
	return (flags & (O_ACCMODE | O_CREAT | O_DIRECTORY)) ? open_to_write(path, flags, mode)
							     : open_to_read(path, flags);
}

const char *files_why(int err)
{
	return err == -FILES_NOT_REGULAR ? "it is a pipe, a socket or a device, not a file"
					 : strerror(-err);
}

/* Either connects at once or not at all: unix(7) knows no connection under way. */
static int plain_connect(void *arg, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd, err;

	(void)arg;
	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int plain_watch(void *arg, const char *folder, uint32_t events)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), err;

	(void)arg;
	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, folder, events) >= 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int plain_status(void *arg, const char *path, struct stat *ret)
{
	(void)arg;
	return stat(path, ret) ? -errno : 0;
}

static int plain_writable(void *arg, const char *path)
{
	(void)arg;
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) ? -errno : 0;
}

static int plain_mkdir(void *arg, const char *path, mode_t mode)
{
	(void)arg;
	return mkdir(path, mode) ? -errno : 0;
}

static int plain_unlink(void *arg, const char *path)
{
	(void)arg;
	return unlink(path) ? -errno : 0;
}

static int plain_discard(void *arg, const char *path)
{
	struct stat status;

	(void)arg;
	if (lstat(path, &status))
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size)
		return -ENOTEMPTY;
	return unlink(path) ? -errno : 0;
}

static int plain_rename(void *arg, const char *from, const char *to)
{
	(void)arg;
	return rename(from, to) ? -errno : 0;
}

const struct sink_files files_plain = {
	.open = plain_open,
	.connect = plain_connect,
	.watch = plain_watch,
	.status = plain_status,
	.writable = plain_writable,
	.mkdir = plain_mkdir,
	.unlink = plain_unlink,
	.discard = plain_discard,
	.rename = plain_rename,
};

int files_open_temporary(
	const struct sink_files *files, const char *path, mode_t mode, char *ret, size_t size)
{
	enum { TRIES = 16 };
	int fd = -EEXIST;

	for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
		uint32_t number;

		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -EIO;
		number &= (1U << (4 * FILES_TEMPORARY_DIGITS)) - 1;
		if ((size_t)snprintf(ret, size, "%s.%0*" PRIx32, path, FILES_TEMPORARY_DIGITS,
			    number) >= size)
			return -ENAMETOOLONG;
		fd = files->open(files->arg, ret, O_WRONLY | O_CREAT | O_EXCL, mode);
	}
	return fd;
}
