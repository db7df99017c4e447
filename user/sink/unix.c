/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport to a collector's Unix stream socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "sink/socket.h"
#include "sink/transport.h"

struct unix_transport {
	struct transport base;
	struct sockaddr_un address;
};

static int unix_open(struct transport *t, struct wait *wait)
{
	const struct unix_transport *u = (const struct unix_transport *)t;
	const struct sockaddr *address = (const struct sockaddr *)&u->address;
	int fd = socket_connect(address, sizeof(u->address), wait);

	t->why = NULL;
	if (fd < 0) {
		/* what unix(7) has for a collector that does not come to accept */
		if (fd == -EAGAIN)
			t->why = "the collector does not accept, its backlog is full";
		return fd;
	}
	t->fd = fd;
	return 0;
}

static void unix_destroy(struct transport *t)
{
	free(t);
}

struct transport *unix_transport_new(const char *path)
{
	static const struct transport_ops ops = {
		.open = unix_open,
		.write = socket_write,
		.read = socket_read,
		.check = socket_check,
		.close = socket_close,
		.destroy = unix_destroy,
	};
	struct unix_transport *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	socket_transport_init(&u->base, &ops);
	u->address.sun_family = AF_UNIX;
	memcpy(u->address.sun_path, path, strnlen(path, SINK_UNIX_PATH_MAX));
	return &u->base;
}
