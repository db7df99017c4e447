/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory, threads, files and sockets. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failures.h"
#include "wraps.h"

WRAP(void *, malloc, CALL, NULL, ENOMEM, (size_t size), size)
WRAP(void *, calloc, CALL, NULL, ENOMEM, (size_t count, size_t size), count, size)
WRAP(void *, realloc, CALL, NULL, ENOMEM, (void *block, size_t size), block, size)
WRAP(void *, aligned_alloc, CALL, NULL, ENOMEM, (size_t align, size_t size), align, size)
WRAP(int, vasprintf, CALL, -1, ENOMEM, (char **text, const char *format, va_list args), text,
	format, args)
WRAP(int, __vasprintf_chk, CALL, -1, ENOMEM,
	(char **text, int flag, const char *format, va_list args), text, flag, format, args)
WRAP(ssize_t, getrandom, CALL, -1, ENOSYS, (void *bytes, size_t len, unsigned int flags), bytes,
	len, flags)
WRAP(void *, mmap, CALL, MAP_FAILED, ENOMEM,
	(void *at, size_t len, int prot, int flags, int fd, off_t offset), at, len, prot, flags, fd,
	offset)
WRAP(long, sysconf, CALL, -1, EINVAL, (int name), name)
WRAP(int, pthread_create, CALL, EAGAIN, EAGAIN,
	(pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg), thread,
	attr, start, arg)
WRAP(int, gethostname, CALL, -1, ENAMETOOLONG, (char *name, size_t len), name, len)
WRAP(int, sigprocmask, CALL, -1, EINVAL, (int action, const sigset_t *set, sigset_t *old), action,
	set, old)

WRAP(int, socket, CALL, -1, EMFILE, (int domain, int type, int protocol), domain, type, protocol)
WRAP(int, connect, CALL | WAITS, -1, ENOBUFS, (int fd, const struct sockaddr *to, socklen_t len),
	fd, to, len)
WRAP(int, bind, CALL, -1, ENODEV, (int fd, const struct sockaddr *to, socklen_t len), fd, to, len)
WRAP(int, setsockopt, CALL, -1, ENOMEM,
	(int fd, int level, int option, const void *value, socklen_t len), fd, level, option, value,
	len)
WRAP(int, getsockopt, CALL, -1, ENOBUFS,
	(int fd, int level, int option, void *value, socklen_t *len), fd, level, option, value, len)
WRAP(int, getsockname, CALL, -1, ENOBUFS, (int fd, struct sockaddr *at, socklen_t *len), fd, at,
	len)
WRAP(int, getpeername, CALL, -1, ENOBUFS, (int fd, struct sockaddr *at, socklen_t *len), fd, at,
	len)
WRAP(int, shutdown, CALL, -1, ENOTCONN, (int fd, int how_to), fd, how_to)
WRAP(int, eventfd, CALL, -1, EMFILE, (unsigned int count, int flags), count, flags)
WRAP(int, epoll_create1, CALL, -1, EMFILE, (int flags), flags)
WRAP(int, epoll_ctl, CALL, -1, ENOSPC, (int epoll, int op, int fd, struct epoll_event *event),
	epoll, op, fd, event)
WRAP(int, epoll_wait, CALL | WAITS, -1, EBADF,
	(int epoll, struct epoll_event *events, int max, int timeout), epoll, events, max, timeout)
WRAP(int, signalfd, CALL, -1, EMFILE, (int fd, const sigset_t *set, int flags), fd, set, flags)
WRAP(int, inotify_init1, CALL, -1, EMFILE, (int flags), flags)
WRAP(int, inotify_add_watch, CALL, -1, ENOSPC, (int fd, const char *path, uint32_t mask), fd, path,
	mask)
WRAP(int, dup, CALL, -1, EMFILE, (int fd), fd)
WRAP(int, mkostemp, CALL, -1, EACCES, (char *path, int flags), path, flags)
WRAP(int, mkdirat, CALL, -1, EROFS, (int fd, const char *path, mode_t mode), fd, path, mode)
WRAP(FILE *, fopen, CALL, NULL, EMFILE, (const char *path, const char *mode), path, mode)
WRAP(FILE *, fdopen, CALL, NULL, ENOMEM, (int fd, const char *mode), fd, mode)
WRAP(DIR *, fdopendir, CALL, NULL, ENOMEM, (int fd), fd)
WRAP(struct dirent *, readdir, CALL, NULL, EIO, (DIR * dir), dir)
WRAP(int, fstat, CALL, -1, EIO, (int fd, struct stat *status), fd, status)
WRAP(int, stat, CALL, -1, EIO, (const char *path, struct stat *status), path, status)
WRAP(int, access, CALL, -1, EACCES, (const char *path, int mode), path, mode)
WRAP(int, fchmod, CALL, -1, EPERM, (int fd, mode_t mode), fd, mode)
WRAP(int, rename, CALL, -1, EXDEV, (const char *from, const char *to), from, to)
WRAP(int, unlink, CALL, -1, EACCES, (const char *path), path)
WRAP(int, unlinkat, CALL, -1, EACCES, (int fd, const char *path, int flags), fd, path, flags)
WRAP(int, flock, CALL, -1, ENOLCK, (int fd, int operation), fd, operation)
WRAP(int, ftruncate, CALL, -1, EIO, (int fd, off_t size), fd, size)
WRAP(int, poll, CALL | WAITS, -1, ENOMEM, (struct pollfd * fds, nfds_t count, int timeout), fds,
	count, timeout)

WRAP(int, getrlimit, CALL, -1, EINVAL, (int resource, struct rlimit *limit), resource, limit)
WRAP(int, setrlimit, CALL, -1, EPERM, (int resource, const struct rlimit *limit), resource, limit)

/* Those that a macro does not fit. */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (wraps_fails(CALL, "open")) {
		errno = EMFILE;
		return -1;
	}
	return __real_open(path, flags, mode);
}

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (wraps_fails(CALL, "openat")) {
		errno = EMFILE;
		return -1;
	}
	return __real_openat(at, path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list args;
	long value;

	va_start(args, command);
	value = va_arg(args, long);
	va_end(args);
	if (wraps_fails(CALL, "fcntl")) {
		errno = EMFILE;
		return -1;
	}
	return __real_fcntl(fd, command, value);
}

/* Whatever it says, the descriptor is gone (close(2)). */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	int rc = __real_close(fd);

	if (!wraps_fails(CALL, "close"))
		return rc;
	errno = EIO;
	return -1;
}

/* What fails in another process is not this one's to tell: its calls go through. */
pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	pid_t pid;

	if (wraps_fails(CALL, "fork")) {
		errno = EAGAIN;
		return -1;
	}
	pid = __real_fork();
	if (!pid)
		failures_spare(true);
	return pid;
}

/* It looks at each process of the machine, only for a line to the operator. */
bool __real_netns_has_others(void);
bool __wrap_netns_has_others(void);
bool __wrap_netns_has_others(void)
{
	bool others;

	failures_spare(true);
	others = __real_netns_has_others();
	failures_spare(false);
	return others;
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
	int rc = __real_fclose(file);

	if (!wraps_fails(CALL, "fclose"))
		return rc;
	errno = ENOSPC;
	return EOF;
}

#define WRAP_BYTES(name, error, parameters, ...)                                                   \
	ssize_t __real_##name parameters;                                                          \
	ssize_t __wrap_##name parameters;                                                          \
	ssize_t __wrap_##name parameters                                                           \
	{                                                                                          \
		if (wraps_fails(CALL | WAITS | MOVES_BYTES, #name)) {                              \
			errno = wraps_reason(error);                                               \
			if (wraps_some(2) == 2)                                                    \
				return -1;                                                         \
			len = wraps_some(len);                                                     \
		}                                                                                  \
		return __real_##name(__VA_ARGS__);                                                 \
	}

WRAP_BYTES(pwrite, ENOSPC, (int fd, const void *bytes, size_t len, off_t at), fd, bytes, len, at)
WRAP_BYTES(pread, EIO, (int fd, void *bytes, size_t len, off_t at), fd, bytes, len, at)

/* Eight bytes of an eventfd and datagrams go whole. */
#define WRAP_EITHER(name, error, may_fail, may_be_short, parameters, ...)                          \
	ssize_t __real_##name parameters;                                                          \
	ssize_t __wrap_##name parameters;                                                          \
	ssize_t __wrap_##name parameters                                                           \
	{                                                                                          \
		enum kind kind = CALL | WAITS;                                                     \
                                                                                                   \
		if (may_be_short)                                                                  \
			kind |= MOVES_BYTES;                                                       \
		if (may_fail && wraps_fails(kind, #name)) {                                        \
			errno = wraps_reason(error);                                               \
			if (wraps_some(2) == 2)                                                    \
				return -1;                                                         \
			len = wraps_some(len);                                                     \
		}                                                                                  \
		return __real_##name(__VA_ARGS__);                                                 \
	}

static bool is_stream(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return !__real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

static bool is_file(int fd)
{
	struct stat status;

	return !__real_fstat(fd, &status) && S_ISREG(status.st_mode);
}

/* A bell can always be rung: an eventfd's write fails only where its count would overflow. */
static bool is_eventfd(int fd)
{
	struct stat status;

	return !__real_fstat(fd, &status) && !(status.st_mode & S_IFMT);
}

WRAP_EITHER(send, ECONNRESET, true, is_stream(fd),
	(int fd, const void *bytes, size_t len, int flags), fd, bytes, len, flags)
WRAP_EITHER(recv, ECONNRESET, true, is_stream(fd), (int fd, void *bytes, size_t len, int flags), fd,
	bytes, len, flags)
WRAP_EITHER(write, ENOSPC, !is_eventfd(fd), is_file(fd), (int fd, const void *bytes, size_t len),
	fd, bytes, len)
WRAP_EITHER(read, EIO, true, is_file(fd), (int fd, void *bytes, size_t len), fd, bytes, len)
