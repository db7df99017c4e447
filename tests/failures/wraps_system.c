/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory, threads, files and sockets. */
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
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
WRAP(char *, strdup, CALL, NULL, ENOMEM, (const char *text), text)
WRAP(struct tm *, localtime_r, CALL, NULL, EOVERFLOW, (const time_t *when, struct tm *ret), when,
	ret)
WRAP(size_t, strftime, CALL, 0, ERANGE,
	(char *text, size_t size, const char *format, const struct tm *when), text, size, format,
	when)
WRAP(ssize_t, getrandom, CALL, -1, ENOSYS, (void *bytes, size_t len, unsigned int flags), bytes,
	len, flags)
WRAP(void *, mmap, CALL, MAP_FAILED, ENOMEM,
	(void *at, size_t len, int prot, int flags, int fd, off_t offset), at, len, prot, flags, fd,
	offset)
WRAP(long, sysconf, CALL, -1, EINVAL, (int name), name)
WRAP(int, pthread_create, CALL, EAGAIN, EAGAIN,
	(pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg), thread,
	attr, start, arg)
WRAP(int, pthread_mutex_clocklock, CALL, ETIMEDOUT, ETIMEDOUT,
	(pthread_mutex_t * lock, clockid_t clock, const struct timespec *until), lock, clock, until)
WRAP(int, pthread_mutex_trylock, CALL, EBUSY, EBUSY, (pthread_mutex_t * lock), lock)
WRAP(int, nanosleep, CALL | WAITS, -1, EINTR, (const struct timespec *time, struct timespec *rest),
	time, rest)
WRAP(pid_t, fork, CALL, -1, EAGAIN, (void))
WRAP(pid_t, waitpid, CALL | WAITS, -1, ECHILD, (pid_t pid, int *status, int options), pid, status,
	options)
WRAP(long, syscall, CALL, -1, ENOSYS, (long number, long a, long b, long c), number, a, b, c)
WRAP(int, gethostname, CALL, -1, ENAMETOOLONG, (char *name, size_t len), name, len)
WRAP(int, sigprocmask, CALL, -1, EINVAL, (int action, const sigset_t *set, sigset_t *old), action,
	set, old)

WRAP(int, socket, CALL, -1, EMFILE, (int domain, int type, int protocol), domain, type, protocol)
WRAP(int, socketpair, CALL, -1, EMFILE, (int domain, int type, int protocol, int pair[2]), domain,
	type, protocol, pair)
WRAP(int, pipe2, CALL, -1, EMFILE, (int ends[2], int flags), ends, flags)
WRAP(unsigned int, if_nametoindex, CALL, 0, ENODEV, (const char *name), name)
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
WRAP(ssize_t, recvmsg, CALL | WAITS, -1, ENOMEM, (int fd, struct msghdr *message, int flags), fd,
	message, flags)
WRAP(ssize_t, sendmsg, CALL | WAITS, -1, ENOBUFS, (int fd, const struct msghdr *message, int flags),
	fd, message, flags)
WRAP(int, shutdown, CALL, -1, ENOTCONN, (int fd, int how_to), fd, how_to)
WRAP(int, eventfd, CALL, -1, EMFILE, (unsigned int count, int flags), count, flags)
WRAP(int, epoll_create1, CALL, -1, EMFILE, (int flags), flags)
WRAP(int, epoll_ctl, CALL, -1, ENOSPC, (int epoll, int op, int fd, struct epoll_event *event),
	epoll, op, fd, event)
WRAP(int, epoll_wait, CALL | WAITS, -1, EBADF,
	(int epoll, struct epoll_event *events, int max, int timeout), epoll, events, max, timeout)
WRAP(int, timerfd_create, CALL, -1, EMFILE, (int clock, int flags), clock, flags)
WRAP(int, signalfd, CALL, -1, EMFILE, (int fd, const sigset_t *set, int flags), fd, set, flags)
WRAP(int, inotify_init1, CALL, -1, EMFILE, (int flags), flags)
WRAP(int, inotify_add_watch, CALL, -1, ENOSPC, (int fd, const char *path, uint32_t mask), fd, path,
	mask)
WRAP(int, dup, CALL, -1, EMFILE, (int fd), fd)
WRAP(int, dup3, CALL, -1, EMFILE, (int fd, int to, int flags), fd, to, flags)
WRAP(int, close_range, CALL, -1, ENOSYS, (unsigned int from, unsigned int to, int flags), from, to,
	flags)
WRAP(int, mkdir, CALL, -1, EROFS, (const char *path, mode_t mode), path, mode)
WRAP(DIR *, opendir, CALL, NULL, EMFILE, (const char *path), path)
WRAP(FILE *, fopen, CALL, NULL, EMFILE, (const char *path, const char *mode), path, mode)
WRAP(FILE *, fdopen, CALL, NULL, ENOMEM, (int fd, const char *mode), fd, mode)
WRAP(FILE *, fopencookie, CALL, NULL, ENOMEM,
	(void *cookie, const char *mode, cookie_io_functions_t calls), cookie, mode, calls)
WRAP(DIR *, fdopendir, CALL, NULL, ENOMEM, (int fd), fd)
WRAP(struct dirent *, readdir, CALL, NULL, EIO, (DIR * dir), dir)
WRAP(int, fstat, CALL, -1, EIO, (int fd, struct stat *status), fd, status)
WRAP(int, stat, CALL, -1, EIO, (const char *path, struct stat *status), path, status)
WRAP(int, lstat, CALL, -1, EIO, (const char *path, struct stat *status), path, status)
WRAP(int, faccessat, CALL, -1, EACCES, (int at, const char *path, int mode, int flags), at, path,
	mode, flags)
WRAP(int, isatty, CALL, 0, ENOTTY, (int fd), fd)
WRAP(int, rename, CALL, -1, EXDEV, (const char *from, const char *to), from, to)
WRAP(int, unlink, CALL, -1, EACCES, (const char *path), path)
WRAP(int, flock, CALL, -1, ENOLCK, (int fd, int operation), fd, operation)
WRAP(int, ftruncate, CALL, -1, EIO, (int fd, off_t size), fd, size)
WRAP(int, poll, CALL | WAITS, -1, ENOMEM, (struct pollfd * fds, nfds_t count, int timeout), fds,
	count, timeout)

WRAP(int, getrlimit, CALL, -1, EINVAL, (int resource, struct rlimit *limit), resource, limit)
WRAP(int, setrlimit, CALL, -1, EPERM, (int resource, const struct rlimit *limit), resource, limit)

/* Those that a macro does not fit. */

static int print_new(char **text, const char *format, va_list args)
{
	if (wraps_fails(CALL, "asprintf")) {
		errno = ENOMEM;
		return -1;
	}
	return __real_vasprintf(text, format, args);
}

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = print_new(text, format, args);
	va_end(args);
	return len;
}

/* The same, where the compiler checks formats. */
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
	va_list args;
	int len;

	(void)flag;
	va_start(args, format);
	len = print_new(text, format, args);
	va_end(args);
	return len;
}

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

/* open without a mode, where the compiler checks that there need be none. */
int __wrap___open_2(const char *path, int flags);
int __wrap___open_2(const char *path, int flags)
{
	return __wrap_open(path, flags);
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

/* Who cannot come back from a namespace ends at once: that is not for a test's own process. */
int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type);
int __wrap_setns(int fd, int type)
{
	static _Thread_local bool away;
	int rc;

	if (!away && wraps_fails(CALL, "setns")) {
		errno = EPERM;
		return -1;
	}
	rc = __real_setns(fd, type);
	if (!rc)
		away = !away;
	return rc;
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
