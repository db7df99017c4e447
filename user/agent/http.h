/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small HTTP server for whoever watches the tap: GET and HEAD of a few paths, each answered at
 * once from one buffer. libmicrohttpd does the protocol; it has no thread of its own, its epoll
 * descriptor stands in the owner's epoll and http_run does what is to be done, without blocking.
 *
 * Bounds: HTTP_CONNECTIONS at once (others wait in the kernel's queue), one request and
 * HTTP_LIFETIME_S seconds for each however it trickles or does not read, HTTP_MEMORY bytes for its
 * headers; a request's body is never read. Nothing wakes the owner while nobody is connected.
 *
 * Ownership: the descriptor of http_fd is the server's. It does not log. One thread.
 */
#ifndef AGENT_HTTP_H
#define AGENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_CONNECTIONS = 16,
	HTTP_LIFETIME_S = 10, /* Prometheus gives a scrape 10 s by default */
	HTTP_MEMORY = 8192,   /* bytes */
	HTTP_ERROR_MAX = 256,
};

/* status 0: there is no such path. The bytes are copied after the call. */
struct http_reply {
	unsigned status;
	const char *type; /* of the content */
	const char *bytes;
	size_t len;
};

typedef void http_get_fn(void *arg, const char *path, struct http_reply *ret);

struct http;

/*
 * Listens on endpoint, as options.h has it: a port of 127.0.0.1, or an address with one. 0 or
 * -errno, then error holds one line that says what to do.
 */
int http_new(const char *endpoint, http_get_fn *get, void *arg, struct http **ret,
	char error[static HTTP_ERROR_MAX]);
void http_free(struct http *http);

/* Readable when http_run has something to do. */
int http_fd(const struct http *http);
/* now: monotonic ns. */
void http_run(struct http *http, uint64_t now);
/* When http_run must be called in any case, monotonic ns; UINT64_MAX: never. */
uint64_t http_next(const struct http *http);

#endif
