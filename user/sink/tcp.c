/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport to a collector over TCP: the host's addresses are tried in order. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "sink/resolve.h"
#include "sink/socket.h"
#include "sink/transport.h"

struct tcp_transport {
	struct transport base;
	char host[SINK_HOST_MAX + 1];
	uint16_t port;
	sink_own_socket_fn *own_socket;
	void *own_socket_arg;
	struct resolved resolved;
};

static int tcp_open(struct transport *t, struct wait *wait)
{
	struct tcp_transport *tcp = (struct tcp_transport *)t;
	struct resolved *r = &tcp->resolved;
	const int on = 1;
	int fd = resolve(
		tcp->host, tcp->port, wait, tcp->own_socket, tcp->own_socket_arg, r, &t->why);

	if (fd < 0)
		return fd;
	fd = -ENXIO;
	for (size_t i = 0; i < r->count && fd < 0; i++)
		fd = socket_connect((struct sockaddr *)&r->at[i].address, r->at[i].len, wait);
	if (fd < 0)
		return fd;
	t->fd = fd;
	/* a collector's host that vanishes is noticed also when nothing is to be sent */
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)))
		return -errno;
	resolve_tell_socket(fd, IPPROTO_TCP, tcp->own_socket, tcp->own_socket_arg);
	return 0;
}

static void tcp_destroy(struct transport *t)
{
	resolve_end();
	free(t);
}

struct transport *tcp_transport_new(const struct sink_url *url, sink_own_socket_fn *own, void *arg)
{
	static const struct transport_ops ops = {
		.open = tcp_open,
		.write = socket_write,
		.read = socket_read,
		.check = socket_check,
		.close = socket_close,
		.destroy = tcp_destroy,
	};
	struct tcp_transport *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return NULL;
	if (resolve_begin()) {
		free(tcp);
		return NULL;
	}
	socket_transport_init(&tcp->base, &ops);
	memcpy(tcp->host, url->target, strnlen(url->target, SINK_HOST_MAX));
	tcp->port = url->port;
	tcp->own_socket = own;
	tcp->own_socket_arg = arg;
	return &tcp->base;
}
