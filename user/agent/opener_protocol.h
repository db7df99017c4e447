/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes over the socket pair between the worker and the opener, which are one program: a
 * request of a fixed size, then one answer, with a descriptor where one was asked for. The opener
 * speaks once by itself, when it is ready: an answer with sequence 0.
 */
#ifndef AGENT_OPENER_PROTOCOL_H
#define AGENT_OPENER_PROTOCOL_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/options.h"
#include "capture/netns.h"

enum opener_verb {
	OPENER_OPEN,
	OPENER_CONNECT,
	OPENER_WATCH,
	OPENER_STATUS,
	OPENER_WRITABLE,
	OPENER_MKDIR,
	OPENER_UNLINK,
	OPENER_DISCARD,
	OPENER_RENAME,
	OPENER_SOCKET,
	OPENER_NETNS_LIST,
	OPENER_RELOAD,
	OPENER_COMMIT,
	OPENER_ABORT,
	OPENER_FORGET,
	OPENER_HELLO, /* nothing but the answer is wanted */
};

/* Where a sink's settings stand: in which reading of the options (0: the start's), and its place.
 */
struct opener_place {
	uint32_t reading;
	uint32_t sink;
};

struct opener_request {
	uint32_t sequence; /* comes back in the answer; never 0 */
	uint32_t verb;
	int32_t flags;  /* OPEN: open(2)'s; WATCH: inotify's events; SOCKET: enum netns_socket */
	uint32_t mode;  /* OPEN, MKDIR */
	uint64_t netns; /* SOCKET */
	struct opener_place kept[OPTIONS_SINKS_MAX]; /* COMMIT */
	uint32_t kept_count;
	char path[PATH_MAX];
	char to[PATH_MAX]; /* RENAME */
};

struct opener_answer {
	uint32_t sequence;
	int32_t result; /* -errno; else 0, or the number of entries, or of the reading */
	union {
		struct stat status;
		struct netns_entry entries[NETNS_MAX];
	};
};

/* The bytes of an answer without status and entries. */
#define OPENER_ANSWER_HEAD offsetof(struct opener_answer, status)

#endif
