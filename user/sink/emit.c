/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/emit.h"

#include <stdlib.h>

enum form { FRAME, FULL_FRAME, LINE, FULL_LINE, FORMS };

struct emit {
	struct sink **sinks;
	enum form *forms; /* of each sink */
	size_t sink_count;
	struct encoder *encoder;
	struct lines *lines;
	bool wanted[FORMS];
};

static enum form form_of(const struct sink *sink)
{
	const struct sink_url *url = sink_url(sink);

	if (url->kind == SINK_LINES)
		return url->full ? FULL_LINE : LINE;
	return url->full ? FULL_FRAME : FRAME;
}

struct emit *emit_new(struct sink **sinks, size_t sink_count, enum lines_format format,
	const char *identity, const char *version)
{
	struct emit *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->sink_count = sink_count;
	e->sinks = calloc(sink_count, sizeof(struct sink *));
	e->forms = calloc(sink_count, sizeof(*e->forms));
	e->encoder = encoder_new(identity, version);
	e->lines = lines_new(format, identity, version);
	if (!e->sinks || !e->forms || !e->encoder || !e->lines) {
		emit_free(e);
		return NULL;
	}
	for (size_t i = 0; i < sink_count; i++) {
		e->sinks[i] = sinks[i];
		e->forms[i] = form_of(sinks[i]);
		e->wanted[e->forms[i]] = true;
	}
	return e;
}

void emit_free(struct emit *e)
{
	if (!e)
		return;
	encoder_free(e->encoder);
	lines_free(e->lines);
	free(e->sinks);
	free(e->forms);
	free(e);
}

bool emit_wants_bytes(const struct emit *e)
{
	return e->wanted[FULL_FRAME] || e->wanted[FULL_LINE];
}

/* The builders keep one result each, so a form goes to all its sinks before the next is built. */
static bool emit_form(struct emit *e, const struct message *m, enum form form)
{
	bool full = form == FULL_FRAME || form == FULL_LINE;
	struct bytes b = form == FRAME || form == FULL_FRAME ? encoder_encode(e->encoder, m, full)
							     : lines_format(e->lines, m, full);

	if (!b.at)
		return false;
	for (size_t i = 0; i < e->sink_count; i++)
		if (e->forms[i] == form)
			sink_offer(e->sinks[i], b.at, b.len);
	return true;
}

bool emit_message(struct emit *e, const struct message *m)
{
	bool whole = true;

	for (enum form form = FRAME; form < FORMS; form++)
		if (e->wanted[form])
			whole &= emit_form(e, m, form);
	return whole;
}

void emit_flush(struct emit *e)
{
	for (size_t i = 0; i < e->sink_count; i++)
		sink_flush(e->sinks[i]);
}
