/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libdnstap-emit: dnstap from your own DNS program.
 *
 * Open the sinks once; for each DNS message fill a struct dnstap_emit_message with its time,
 * addresses and bytes, and tap it; close at the end. Tapping never blocks: each sink has a bounded
 * queue and a thread of its own, and what does not fit is counted. Frames are Frame Streams with
 * content type protobuf:dnstap.Dnstap, at most 96 KiB each.
 *
 * Threads: one thread at a time may use a struct dnstap_emit; several threads open one each, or
 * lock around it. Reading the counts needs no lock. The sinks' threads block all signals.
 * Ownership: nothing that is passed in is kept; all is copied before the call returns.
 *
 * Link with -ldnstap-emit and what it needs: pkg-config --static dnstap-emit tells.
 */
#ifndef DNSTAP_EMIT_H
#define DNSTAP_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr;

/* The types of dnstap.proto. */
enum dnstap_emit_type {
	DNSTAP_EMIT_AUTH_QUERY = 1,
	DNSTAP_EMIT_AUTH_RESPONSE,
	DNSTAP_EMIT_RESOLVER_QUERY,
	DNSTAP_EMIT_RESOLVER_RESPONSE,
	DNSTAP_EMIT_CLIENT_QUERY,
	DNSTAP_EMIT_CLIENT_RESPONSE,
	DNSTAP_EMIT_FORWARDER_QUERY,
	DNSTAP_EMIT_FORWARDER_RESPONSE,
	DNSTAP_EMIT_STUB_QUERY,
	DNSTAP_EMIT_STUB_RESPONSE,
	DNSTAP_EMIT_TOOL_QUERY,
	DNSTAP_EMIT_TOOL_RESPONSE,
	DNSTAP_EMIT_UPDATE_QUERY,
	DNSTAP_EMIT_UPDATE_RESPONSE,
};

enum dnstap_emit_protocol { DNSTAP_EMIT_UDP, DNSTAP_EMIT_TCP };

struct dnstap_emit_bytes {
	const void *at; /* NULL: absent */
	size_t len;     /* bytes */
};

/*
 * One message. query_* is the initiator of the exchange and response_* the responder, whatever
 * direction the message goes.
 */
struct dnstap_emit_message {
	enum dnstap_emit_type type;
	enum dnstap_emit_protocol protocol;
	const struct sockaddr *query_address; /* AF_INET or AF_INET6, with its port; NULL: absent */
	const struct sockaddr *response_address; /* of the same family */
	struct timespec query_time;              /* wall time; both 0: absent */
	struct timespec response_time;
	struct dnstap_emit_bytes query;    /* wire format; given in a response: a copy goes along */
	struct dnstap_emit_bytes response; /* wire format; in a response only */
	struct dnstap_emit_bytes query_zone; /* wire-format name */
	struct dnstap_emit_bytes extra;      /* UTF-8, at most 1024 bytes */
};

struct dnstap_emit_options {
	const char *identity; /* UTF-8, at most 1024 bytes; NULL: none */
	const char *version;  /* likewise */
	size_t queue_size;    /* bytes of each sink's queue; 0: 16 MiB; 128 KiB to 1 GiB */
	/* Gets each line a sink has to say (connected, lost, why), from the sinks' threads. */
	void (*log)(const char *line);
};

/* What became of the frames given to one sink; frames = the sum of all but connections. */
struct dnstap_emit_counts {
	uint64_t frames;
	uint64_t confirmed;   /* on connections that ended with FINISH, or in a file closed whole */
	uint64_t unconfirmed; /* written to a connection that ended otherwise */
	uint64_t in_flight;   /* queued, or written to the connection that is open */
	uint64_t lost;        /* the queue was full, or the program ended */
	uint64_t connections;
};

struct dnstap_emit;

/*
 * Opens the sinks named by count words as on dnstap-bpf's command line: "unix:///path",
 * "tcp://host:6000", "file:///path", "-", each perhaps followed by "full". A file must open at
 * once, a collector may come later. 0 and *ret, or -errno and one line in error.
 */
int dnstap_emit_open(const struct dnstap_emit_options *options, const char *const *words,
	size_t count, struct dnstap_emit **ret, char *error, size_t error_size);

/* True when some sink is "full": only then are query and response bytes looked at. */
bool dnstap_emit_wants_bytes(const struct dnstap_emit *emit);

/* 0; -EINVAL for a message that contradicts itself; -EMSGSIZE where a frame would be too large. */
int dnstap_emit_tap(struct dnstap_emit *emit, const struct dnstap_emit_message *message);

size_t dnstap_emit_sink_count(const struct dnstap_emit *emit);
/* sink: from 0 to dnstap_emit_sink_count() - 1, in the order of the words. */
void dnstap_emit_read_counts(
	const struct dnstap_emit *emit, size_t sink, struct dnstap_emit_counts *ret);

/*
 * Sends what is queued, ends the connections with STOP and FINISH, and frees all; takes at most 3
 * seconds, whatever the collectors do. counts, if not NULL, gets the final counts of each sink.
 */
void dnstap_emit_close(struct dnstap_emit *emit, struct dnstap_emit_counts *counts);

#ifdef __cplusplus
}
#endif

#endif
