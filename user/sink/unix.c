/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport to a collector's Unix stream socket. While there is none, the folder is watched for
 * its path: the watch begins before the try to connect, so that no appearance is missed.
 */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/un.h>
#include <unistd.h>

#include "sink/socket.h"
#include "sink/transport.h"

struct unix_transport {
	struct transport base;
	struct sockaddr_un address;
	char folder[SINK_UNIX_PATH_MAX + 1];
	char name[SINK_UNIX_PATH_MAX + 1]; /* of the socket in its folder */
};

static void stop_watching(struct transport *t)
{
	if (t->news_fd >= 0)
		close(t->news_fd);
	t->news_fd = -1;
}

/* Without a watch (no such folder, no descriptors left) there are only the tries. */
static void start_watching(struct unix_transport *u)
{
	const uint32_t events =
		IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR | IN_DELETE_SELF | IN_MOVE_SELF;

	stop_watching(&u->base);
	u->base.news_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (u->base.news_fd >= 0 && inotify_add_watch(u->base.news_fd, u->folder, events) < 0)
		stop_watching(&u->base);
}

static bool unix_news(struct transport *t)
{
	const struct unix_transport *u = (const struct unix_transport *)t;
	_Alignas(struct inotify_event) char buffer[4096];
	bool appeared = false;
	ssize_t len;

	while ((len = read(t->news_fd, buffer, sizeof(buffer))) > 0) {
		const char *at = buffer;

		while (at < buffer + len) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			/* without a name it is about the folder: look again where it is */
			appeared |= !event->len || !strcmp(event->name, u->name);
			at += sizeof(*event) + event->len;
		}
	}
	return appeared;
}

static int unix_open(struct transport *t, struct wait *wait)
{
	struct unix_transport *u = (struct unix_transport *)t;
	const struct sockaddr *address = (const struct sockaddr *)&u->address;
	int fd;

	start_watching(u);
	fd = socket_connect(address, sizeof(u->address), wait);
	t->why = NULL;
	if (fd < 0) {
		/* what unix(7) has for a collector that does not come to accept */
		if (fd == -EAGAIN)
			t->why = "the collector does not accept, its backlog is full";
		return fd;
	}
	stop_watching(t);
	t->fd = fd;
	return 0;
}

static void unix_destroy(struct transport *t)
{
	stop_watching(t);
	free(t);
}

int unix_transport_new(const char *path, struct transport **ret)
{
	static const struct transport_ops ops = {
		.open = unix_open,
		.write = socket_write,
		.read = socket_read,
		.check = socket_check,
		.hang_up = socket_hang_up,
		.news = unix_news,
		.close = socket_close,
		.destroy = unix_destroy,
	};
	struct unix_transport *u = calloc(1, sizeof(*u));
	char copy[SINK_UNIX_PATH_MAX + 1] = "";

	if (!u)
		return -ENOMEM;
	socket_transport_init(&u->base, &ops);
	u->address.sun_family = AF_UNIX;
	memcpy(u->address.sun_path, path, strnlen(path, SINK_UNIX_PATH_MAX));
	/* dirname and basename (POSIX) each change their argument */
	memcpy(copy, u->address.sun_path, SINK_UNIX_PATH_MAX);
	strcpy(u->name, basename(copy));
	memcpy(copy, u->address.sun_path, SINK_UNIX_PATH_MAX);
	strcpy(u->folder, dirname(copy));
	*ret = &u->base;
	return 0;
}
