/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/socket.h"

#include <errno.h>
#include <unistd.h>

/* EINTR: a nonblocking connect goes on in the background like EINPROGRESS (connect(2)). */
static int connect_by(int fd, const struct sockaddr *address, socklen_t len, struct wait *wait)
{
	socklen_t size = sizeof(int);
	int error = 0, rc;

	if (!connect(fd, address, len))
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	rc = wait_ready(wait, fd, POLLOUT, wait_until(SINK_CONNECT_MS));
	if (rc < 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

int socket_connect(const struct sockaddr *address, socklen_t len, struct wait *wait)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = connect_by(fd, address, len, wait);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

ssize_t socket_write(struct transport *t, const void *bytes, size_t len)
{
	ssize_t n;

	t->wants = POLLOUT;
	do {
		n = send(t->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t socket_read(struct transport *t, void *bytes, size_t len)
{
	ssize_t n;

	t->wants = POLLIN;
	do {
		n = recv(t->fd, bytes, len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Between ACCEPT and FINISH a collector has nothing to say, so a byte ends it like an EOF. */
int socket_check(struct transport *t)
{
	char byte;
	ssize_t n = recv(t->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 0)
		return -EPIPE;
	if (n > 0)
		return -EPROTO;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int socket_hang_up(struct transport *t)
{
	return t->fd >= 0 && shutdown(t->fd, SHUT_WR) ? -errno : 0;
}

int socket_close(struct transport *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	return 0;
}

void socket_transport_init(struct transport *t, const struct transport_ops *ops)
{
	t->ops = ops;
	t->fd = -1;
	t->news_fd = -1;
	t->watch = POLLIN | POLLRDHUP;
	t->framed = true;
	t->remote = true;
}
