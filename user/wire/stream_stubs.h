/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of connections that have no entry: where each direction goes on. A SYN leaves a
 * stub, and so do connections that ended, timed out or gave way to others. They stand in a table
 * of STREAMS_STUBS where the oldest goes, so floods cost stubs and nothing else. One that is
 * older than STREAMS_IDLE_NS means nothing any more. Part of the streams room.
 */
#ifndef WIRE_STREAM_STUBS_H
#define WIRE_STREAM_STUBS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/flow.h"
#include "base/table.h"
#include "wire/stream_half.h"

struct stream_stub {
	uint64_t time;
	uint32_t next[2];
	bool known[2];
	bool between[2]; /* a message begins at next */
	bool opened[2];  /* by a SYN before next */
	bool closed;
};

struct table *stream_stubs_new(void);

/* A SYN came whose first byte is `first`; answer: one with an acknowledgement. */
void stream_stubs_syn(struct table *stubs, const struct flow *key, int dir, uint32_t first,
	bool answer, uint64_t now);
void stream_stubs_leave(struct table *stubs, const struct flow *key,
	const struct stream_half half[2], bool closed, uint64_t now);
/* The stub that payload at seq may continue, or NULL. */
const struct stream_stub *stream_stubs_continued(
	const struct table *stubs, const struct flow *key, int dir, uint32_t seq, uint64_t now);
/* Both directions as the stub says; blank where it is NULL. */
void stream_stub_resume(const struct stream_stub *stub, struct stream_half half[2]);

#endif
