/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection over TCP, for the transports tcp and tls. The host's addresses are tried in order.
 * They are kept: a name is looked up again when its time to live is over (TCP_KEEP_MIN_S to
 * TCP_KEEP_MAX_S), or when none of its addresses answers and TCP_KEEP_MIN_S have passed; a look-up
 * that failed holds for TCP_FAILED_S. Threads: tcp_init and tcp_destroy from one, tcp_connect the
 * sender's.
 */
#ifndef SINK_TCP_H
#define SINK_TCP_H

#include <stdint.h>

#include "sink/resolve.h"
#include "sink/transport.h"

enum { TCP_KEEP_MIN_S = 5, TCP_KEEP_MAX_S = 300, TCP_FAILED_S = 1 };

struct tcp_transport {
	struct transport base;
	char host[SINK_HOST_MAX + 1];
	uint16_t port;
	sink_own_socket_fn *own_socket;
	void *own_socket_arg;
	struct resolved resolved;
	int resolve_error; /* of the last look-up: 0 or -errno */
	const char *resolve_why;
	uint64_t asked, ask_again; /* monotonic ns; 0: never asked */
};

/* 0 or -errno. tcp_destroy undoes it and is fit for a transport's destroy. */
int tcp_init(struct tcp_transport *tcp, const struct transport_ops *ops, const struct sink_url *url,
	const struct sink_options *options);
void tcp_destroy(struct transport *t);

/* Fit for a transport's open. */
int tcp_connect(struct transport *t, struct wait *wait);

#endif
