/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sink/socket.h"

static uint64_t seconds_from(uint64_t now, uint64_t seconds)
{
	return now + seconds * NS_PER_SECOND;
}

static uint64_t keep_for(const struct resolved *r)
{
	if (r->seconds < TCP_KEEP_MIN_S)
		return TCP_KEEP_MIN_S;
	return r->seconds > TCP_KEEP_MAX_S ? TCP_KEEP_MAX_S : r->seconds;
}

/* The host's addresses, asked for or kept. */
static int find_addresses(struct tcp_transport *tcp, struct wait *wait)
{
	if (!tcp->asked || clock_monotonic() >= tcp->ask_again) {
		tcp->resolve_error = resolve(tcp->host, tcp->port, wait, tcp->own_socket,
			tcp->own_socket_arg, &tcp->resolved, &tcp->resolve_why);
		tcp->asked = clock_monotonic();
		tcp->ask_again = seconds_from(
			tcp->asked, tcp->resolve_error ? TCP_FAILED_S : keep_for(&tcp->resolved));
	}
	tcp->base.why = tcp->resolve_why;
	return tcp->resolve_error;
}

/* None of the addresses answers: perhaps the host has moved. */
static void ask_sooner(struct tcp_transport *tcp)
{
	uint64_t soon = seconds_from(tcp->asked, TCP_KEEP_MIN_S);

	if (soon < tcp->ask_again)
		tcp->ask_again = soon;
}

int tcp_connect(struct transport *t, struct wait *wait)
{
	struct tcp_transport *tcp = (struct tcp_transport *)t;
	const struct resolved *r = &tcp->resolved;
	const int on = 1;
	int fd = find_addresses(tcp, wait);

	if (fd < 0)
		return fd;
	fd = -ENXIO;
	for (size_t i = 0; i < r->count && fd < 0; i++)
		fd = socket_connect((const struct sockaddr *)&r->at[i].address, r->at[i].len, wait);
	if (fd < 0) {
		ask_sooner(tcp);
		return fd;
	}
	t->fd = fd;
	/* a collector's host that vanishes is noticed also when nothing is to be sent */
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)))
		return -errno;
	resolve_tell_socket(fd, IPPROTO_TCP, tcp->own_socket, tcp->own_socket_arg);
	return 0;
}

int tcp_init(struct tcp_transport *tcp, const struct transport_ops *ops, const struct sink_url *url,
	const struct sink_options *options)
{
	int rc = resolve_begin();

	if (rc)
		return rc;
	socket_transport_init(&tcp->base, ops);
	memcpy(tcp->host, url->target, strnlen(url->target, SINK_HOST_MAX));
	tcp->port = url->port;
	tcp->own_socket = options->own_socket;
	tcp->own_socket_arg = options->own_socket_arg;
	return 0;
}

void tcp_destroy(struct transport *t)
{
	resolve_end();
	free(t);
}

int tcp_transport_new(
	const struct sink_url *url, const struct sink_options *options, struct transport **ret)
{
	static const struct transport_ops ops = {
		.open = tcp_connect,
		.write = socket_write,
		.read = socket_read,
		.check = socket_check,
		.hang_up = socket_hang_up,
		.close = socket_close,
		.destroy = tcp_destroy,
	};
	struct tcp_transport *tcp = calloc(1, sizeof(*tcp));
	int rc;

	if (!tcp)
		return -ENOMEM;
	rc = tcp_init(tcp, &ops, url, options);
	if (rc) {
		free(tcp);
		return rc;
	}
	*ret = &tcp->base;
	return 0;
}
