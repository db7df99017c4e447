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
#include <sys/stat.h>
#include <unistd.h>

#include "sink/socket.h"
#include "sink/transport.h"

struct unix_transport {
	struct transport base;
	const struct sink_files *files;
	char path[SINK_UNIX_PATH_MAX + 1];
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
	u->base.news_fd = u->files->watch(u->files->arg, u->folder, events);
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

/* What stands there already and is something else will never take a connection. */
static bool is_no_socket(const struct unix_transport *u)
{
	struct stat status;

	return !u->files->status(u->files->arg, u->path, &status) && !S_ISSOCK(status.st_mode);
}

static int unix_open(struct transport *t, struct wait *wait)
{
	struct unix_transport *u = (struct unix_transport *)t;
	int fd;

	(void)wait;
	start_watching(u);
	fd = u->files->connect(u->files->arg, u->path);
	t->why = NULL;
	if (fd < 0) {
		/* what unix(7) has for a collector that does not come to accept */
		if (fd == -EAGAIN)
			t->why = "the collector does not accept, its backlog is full";
		else if (is_no_socket(u))
			t->why = UNIX_NO_SOCKET;
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

int unix_transport_new(
	const struct sink_url *url, const struct sink_options *options, struct transport **ret)
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
	u->files = sink_files(options);
	memcpy(u->path, url->target, strnlen(url->target, SINK_UNIX_PATH_MAX));
	if (is_no_socket(u)) {
		free(u);
		return -ENOTSOCK;
	}
	/* dirname and basename (POSIX) each change their argument */
	memcpy(copy, u->path, SINK_UNIX_PATH_MAX);
	strcpy(u->name, basename(copy));
	memcpy(copy, u->path, SINK_UNIX_PATH_MAX);
	strcpy(u->folder, dirname(copy));
	*ret = &u->base;
	return 0;
}
