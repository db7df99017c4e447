/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* c-ares doubles it for the second try: two tries of one server fit into the deadline. */
#define TRY_MS (SINK_CONNECT_MS / 4)

/* c-ares has one a server and protocol; what comes to one more is not heard and times out. */
enum { SOCKETS_MAX = 15 };

struct lookup {
	struct pollfd fds[SOCKETS_MAX];
	unsigned int count;
	sink_own_socket_fn *own_socket;
	void *own_socket_arg;
	struct resolved *result;
	int status; /* ARES_* */
	bool done;
};

int resolve_begin(void)
{
	return ares_library_init(ARES_LIB_INIT_ALL) ? -ENOMEM : 0;
}

void resolve_end(void)
{
	ares_library_cleanup();
}

void resolve_tell_socket(int fd, int protocol, sink_own_socket_fn *own_socket, void *arg)
{
	struct sockaddr_storage local = {0}, remote = {0};
	socklen_t local_len = sizeof(local), remote_len = sizeof(remote);

	if (!own_socket || getsockname(fd, (struct sockaddr *)&local, &local_len) ||
		getpeername(fd, (struct sockaddr *)&remote, &remote_len))
		return;
	own_socket(arg, protocol, (struct sockaddr *)&local, (struct sockaddr *)&remote);
}

/* c-ares calls this after its connect and before its first byte. */
static int on_socket(ares_socket_t fd, int type, void *arg)
{
	const struct lookup *l = arg;

	resolve_tell_socket(fd, type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, l->own_socket,
		l->own_socket_arg);
	return 0;
}

/* What c-ares waits for there from now on; neither: it is done with that socket. */
static void on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
	const short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
	struct lookup *l = arg;
	unsigned int i = 0;

	while (i < l->count && l->fds[i].fd != fd)
		i++;
	if (i == l->count && (!events || i == SOCKETS_MAX))
		return;
	if (i == l->count)
		l->count++;
	l->fds[i] = events ? (struct pollfd){.fd = fd, .events = events} : l->fds[--l->count];
}

static void add_address(struct resolved *ret, const struct sockaddr *address, socklen_t len)
{
	if (ret->count == RESOLVE_MAX || len > sizeof(ret->at[0].address))
		return;
	memcpy(&ret->at[ret->count].address, address, len);
	ret->at[ret->count++].len = len;
}

/* All hold as long as the first of them that ends. */
static void shorten(struct resolved *ret, int ttl)
{
	if (ttl >= 0 && (uint64_t)ttl < ret->seconds)
		ret->seconds = (uint64_t)ttl;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct lookup *l = arg;

	(void)timeouts;
	l->done = true;
	l->status = status;
	if (status != ARES_SUCCESS)
		return;
	for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
		add_address(l->result, n->ai_addr, (socklen_t)n->ai_addrlen);
		shorten(l->result, n->ai_ttl);
	}
	ares_freeaddrinfo(info);
}

/* The deadline, or c-ares' own next time-out if that is earlier. */
static uint64_t next_time(ares_channel channel, uint64_t deadline)
{
	struct timeval t;
	uint64_t due;

	if (!ares_timeout(channel, NULL, &t))
		return deadline;
	due = clock_monotonic() + (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_usec * 1000;
	return due < deadline ? due : deadline;
}

/* Waits once for c-ares' sockets and lets it work; also when only its own time has come. */
static int drive(ares_channel channel, struct lookup *l, struct wait *wait, uint64_t deadline)
{
	struct pollfd fds[SOCKETS_MAX + 1];
	const unsigned int count = l->count; /* c-ares changes them while it works */
	int rc;

	memcpy(fds, l->fds, count * sizeof(fds[0]));
	rc = wait_poll(wait, fds, count, next_time(channel, deadline));
	if (rc < 0 && rc != -ETIMEDOUT)
		return rc;
	for (unsigned int i = 0; i < count; i++) {
		if (rc > 0 && fds[i].revents)
			ares_process_fd(channel,
				(fds[i].revents & ~POLLOUT) ? fds[i].fd : ARES_SOCKET_BAD,
				(fds[i].revents & ~POLLIN) ? fds[i].fd : ARES_SOCKET_BAD);
	}
	ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	return clock_monotonic() < wait_bounded(wait, deadline) ? 0 : -ETIMEDOUT;
}

static int look_up(const char *host, const char *port, struct wait *wait, struct lookup *l)
{
	struct ares_options options = {.timeout = TRY_MS,
		.tries = 2,
		.sock_state_cb = on_interest,
		.sock_state_cb_data = l};
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	const uint64_t deadline = wait_until(SINK_CONNECT_MS);
	ares_channel channel;
	int rc = 0;

	l->status = ares_init_options(
		&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (l->status != ARES_SUCCESS)
		return -ENOMEM;
	ares_set_socket_callback(channel, on_socket, l);
	ares_getaddrinfo(channel, host, port, &hints, on_answer, l);
	while (!l->done && !rc)
		rc = drive(channel, l, wait, deadline);
	/* what is pending is answered with ARES_EDESTRUCTION, so on_answer is always called */
	ares_destroy(channel);
	return rc;
}

/* Addresses in text, a scope (fe80::1%eth0) included; AI_NUMERICHOST asks nobody. */
static bool from_text(const char *host, const char *port, struct resolved *ret)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *info;

	if (getaddrinfo(host, port, &hints, &info))
		return false;
	for (const struct addrinfo *i = info; i; i = i->ai_next)
		add_address(ret, i->ai_addr, i->ai_addrlen);
	freeaddrinfo(info);
	return ret->count > 0;
}

int resolve(const char *host, uint16_t port, struct wait *wait, sink_own_socket_fn *own_socket,
	void *own_socket_arg, struct resolved *ret, const char **ret_why)
{
	struct lookup l = {
		.own_socket = own_socket, .own_socket_arg = own_socket_arg, .result = ret};
	char port_text[sizeof("65535")];
	int rc;

	*ret_why = NULL;
	ret->count = 0;
	ret->seconds = UINT64_MAX;
	snprintf(port_text, sizeof(port_text), "%u", port);
	if (from_text(host, port_text, ret))
		return 0;
	rc = look_up(host, port_text, wait, &l);
	if (ret->count)
		return 0;
	*ret_why = rc == -ETIMEDOUT ? "the name was not resolved in time" : ares_strerror(l.status);
	return rc ? rc : -ENXIO;
}
