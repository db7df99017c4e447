/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One dnstap message to every sink, each form of it (frame or line, with or without bytes) built
 * at most once. One thread.
 */
#ifndef SINK_EMIT_H
#define SINK_EMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "dnstap/lines.h"
#include "dnstap/message.h"
#include "sink/sink.h"

struct emit;

/* The sinks, not their array, outlive the result; the texts too. NULL without memory or with a text
 * no frame can hold. */
struct emit *emit_new(struct sink **sinks, size_t sink_count, enum lines_format format,
	const char *identity, const char *version);
void emit_free(struct emit *emit);

/* True when some sink wants the message's bytes. */
bool emit_wants_bytes(const struct emit *emit);
/* False when the message is larger than any collector accepts; no sink has it then. */
bool emit_message(struct emit *emit, const struct message *message);
void emit_flush(struct emit *emit);

#endif
