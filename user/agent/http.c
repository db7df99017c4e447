/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { BACKLOG = 16 };

/* One that is open; connection NULL: none is. */
struct client {
	struct MHD_Connection *connection;
	uint64_t ends; /* monotonic ns */
	bool told;     /* that it has ended */
};

struct http {
	struct MHD_Daemon *daemon;
	http_get_fn *get;
	void *arg;
	int epoll_fd;
	uint64_t now; /* of the http_run under way */
	struct client clients[HTTP_CONNECTIONS];
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* The options have looked at it before: what is wrong here was never one. */
static socklen_t parse(const char *endpoint, union address *ret)
{
	const char *colon = strrchr(endpoint, ':');
	const char *port = colon ? colon + 1 : endpoint;
	char host[INET6_ADDRSTRLEN + 2] = "127.0.0.1";
	size_t len;

	if (colon)
		snprintf(host, sizeof(host), "%.*s", (int)(colon - endpoint), endpoint);
	len = strlen(host);
	memset(ret, 0, sizeof(*ret));
	if (host[0] == '[') {
		host[len - 1] = '\0';
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons((uint16_t)strtoul(port, NULL, 10));
		return inet_pton(AF_INET6, host + 1, &ret->v6.sin6_addr) == 1 ? sizeof(ret->v6) : 0;
	}
	ret->v4.sin_family = AF_INET;
	ret->v4.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	return inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1 ? sizeof(ret->v4) : 0;
}

/* A descriptor or -errno. */
static int listen_on(const union address *address, socklen_t len)
{
	const int on = 1;
	int err, fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* a tap that starts again finds connections of the one before in TIME_WAIT */
	err = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* 0.0.0.0 has a socket of its own */
	if (!err && address->any.sa_family == AF_INET6)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!err)
		err = bind(fd, &address->any, len);
	if (!err)
		err = listen(fd, BACKLOG);
	if (!err)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static const char *advice(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "; is another tap running? give --metrics another port";
	case -EADDRNOTAVAIL:
		return "; `ip address` shows this host's addresses";
	case -EACCES:
		return "; give --metrics a port from 1024 on";
	default:
		return "";
	}
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **slot,
	enum MHD_ConnectionNotificationCode code)
{
	struct http *h = arg;
	struct client *client = *slot;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client)
			client->connection = NULL;
		return;
	}
	for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
		client = &h->clients[i];
		if (client->connection)
			continue;
		*client = (struct client){
			connection, h->now + HTTP_LIFETIME_S * NS_PER_SECOND, false};
		*slot = client;
		return;
	}
}

static enum MHD_Result answer(struct MHD_Connection *connection, const struct http_reply *reply)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		reply->len, (void *)reply->bytes, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (reply->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	queued = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return queued;
}

/* Called first when the headers are there; to answer then means to read no body. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *body, size_t *body_size, void **state)
{
	static const char not_found[] = "not found: /metrics, /healthz and /readyz are here\n";
	static const char not_allowed[] = "GET and HEAD only\n";
	struct http *h = arg;
	struct http_reply reply = {.type = "text/plain; charset=utf-8"};

	(void)version, (void)body, (void)body_size, (void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		reply.status = MHD_HTTP_METHOD_NOT_ALLOWED;
		reply.bytes = not_allowed;
		reply.len = sizeof(not_allowed) - 1;
		return answer(connection, &reply);
	}
	h->get(h->arg, path, &reply);
	if (!reply.status) {
		reply.status = MHD_HTTP_NOT_FOUND;
		reply.bytes = not_found;
		reply.len = sizeof(not_found) - 1;
	}
	return answer(connection, &reply);
}

/* It has no thread, and closes the socket with the daemon. */
static int start(struct http *h, int fd)
{
	const union MHD_DaemonInfo *info;

	h->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)HTTP_LIFETIME_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
	if (!h->daemon)
		return -ENOMEM;
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -ENOSYS;
	h->epoll_fd = info->epoll_fd;
	return 0;
}

int http_new(const char *endpoint, http_get_fn *get, void *arg, struct http **ret,
	char error[static HTTP_ERROR_MAX])
{
	struct http *h = calloc(1, sizeof(*h));
	union address address;
	socklen_t len = parse(endpoint, &address);
	int err = h ? 0 : -ENOMEM, fd = -1;

	if (!err)
		err = fd = len ? listen_on(&address, len) : -EINVAL;
	if (fd >= 0) {
		h->get = get;
		h->arg = arg;
		err = start(h, fd);
		if (!h->daemon)
			close(fd);
	}
	if (err) {
		snprintf(error, HTTP_ERROR_MAX, "cannot serve metrics on %s: %s%s", endpoint,
			strerror(-err), advice(err));
		http_free(h);
		return err;
	}
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	free(h);
}

int http_fd(const struct http *h)
{
	return h->epoll_fd;
}

/*
 * The library's own time limit begins anew with each byte. To it this looks as if the client had
 * closed, and the connection ends as it does then.
 */
static void end_old(struct http *h)
{
	for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
		struct client *client = &h->clients[i];
		const union MHD_ConnectionInfo *info;

		if (!client->connection || client->told || h->now < client->ends)
			continue;
		client->told = true;
		info = MHD_get_connection_info(
			client->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info)
			shutdown(info->connect_fd, SHUT_RDWR);
	}
}

static size_t count_clients(const struct http *h)
{
	size_t count = 0;

	for (size_t i = 0; i < HTTP_CONNECTIONS; i++)
		count += h->clients[i].connection != NULL;
	return count;
}

/*
 * With all its connections in use the library takes the listening socket out of its epoll, and puts
 * it back only at the beginning of the call after the one that has ended some. With none left
 * nothing would ever make that call, so it follows at once.
 */
void http_run(struct http *h, uint64_t now)
{
	size_t before;

	h->now = now;
	end_old(h);
	do {
		before = count_clients(h);
		MHD_run(h->daemon);
	} while (count_clients(h) < before);
}

uint64_t http_next(const struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
		const struct client *client = &h->clients[i];

		if (client->connection && !client->told && client->ends < next)
			next = client->ends;
	}
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES &&
		(next == UINT64_MAX || h->now + ms * NS_PER_MS < next))
		next = h->now + ms * NS_PER_MS;
	return next;
}
