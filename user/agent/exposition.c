/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dnstap/text.h"

enum { SECONDS_MAX = 32 };

void exposition_begin(struct exposition *e, char *bytes, size_t size)
{
	*e = (struct exposition){.at = bytes, .size = size};
}

bool exposition_whole(const struct exposition *e)
{
	return !e->cut;
}

static void put(struct exposition *e, const void *bytes, size_t len)
{
	if (len > e->size - e->len) {
		e->cut = true;
		return;
	}
	memcpy(e->at + e->len, bytes, len);
	e->len += len;
}

static void put_text(struct exposition *e, const char *text)
{
	put(e, text, strlen(text));
}

static void put_escaped(struct exposition *e, const char *text, bool quotes)
{
	bool utf8 = text_is_utf8((const uint8_t *)text, strlen(text));

	for (; *text; text++) {
		if (*text == '\n')
			put(e, "\\n", 2);
		else if (*text == '\\')
			put(e, "\\\\", 2);
		else if (*text == '"' && quotes)
			put(e, "\\\"", 2);
		else if ((*text & 0x80) && !utf8)
			put(e, "?", 1);
		else
			put(e, text, 1);
	}
}

static void put_label(struct exposition *e, const struct exposition_label *label, bool first)
{
	put_text(e, first ? "{" : ",");
	put_text(e, label->name);
	put_text(e, "=\"");
	put_escaped(e, label->value, true);
	put_text(e, "\"");
}

/* One sample's line; a line that does not fit leaves nothing. last: NULL for none. */
static void put_sample(struct exposition *e, const char *suffix,
	const struct exposition_labels *labels, const struct exposition_label *last,
	const char *value)
{
	size_t begin = e->len, count = 0;

	put_text(e, e->name);
	put_text(e, suffix);
	for (; labels && count < EXPOSITION_LABELS_MAX && labels->at[count].name; count++)
		put_label(e, &labels->at[count], !count);
	if (last)
		put_label(e, last, !count++);
	if (count)
		put_text(e, "}");
	put_text(e, " ");
	put_text(e, value);
	put_text(e, "\n");
	if (e->cut)
		e->len = begin;
}

void exposition_family(
	struct exposition *e, enum exposition_type type, const char *name, const char *help)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	snprintf(e->name, sizeof(e->name), "%s", name);
	put_text(e, "# HELP ");
	put_text(e, e->name);
	put_text(e, " ");
	put_escaped(e, help, false);
	put_text(e, "\n# TYPE ");
	put_text(e, e->name);
	put_text(e, " ");
	put_text(e, types[type]);
	put_text(e, "\n");
}

static void put_number(struct exposition *e, const char *suffix,
	const struct exposition_labels *labels, const struct exposition_label *last, uint64_t value)
{
	char text[SECONDS_MAX];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_sample(e, suffix, labels, last, text);
}

/* Without the zeros at its end, as Prometheus writes a bound itself. */
static void format_seconds(uint64_t ns, char ret[static SECONDS_MAX])
{
	size_t len = (size_t)snprintf(ret, SECONDS_MAX, "%" PRIu64 ".%09" PRIu64,
		ns / (uint64_t)NS_PER_SECOND, ns % (uint64_t)NS_PER_SECOND);

	while (ret[len - 1] == '0')
		ret[--len] = '\0';
	if (ret[len - 1] == '.')
		ret[len - 1] = '\0';
}

void exposition_number(struct exposition *e, const struct exposition_labels *labels, uint64_t value)
{
	put_number(e, "", labels, NULL, value);
}

void exposition_seconds(struct exposition *e, const struct exposition_labels *labels, uint64_t ns)
{
	char text[SECONDS_MAX];

	format_seconds(ns, text);
	put_sample(e, "", labels, NULL, text);
}

void exposition_histogram(struct exposition *e, const struct exposition_labels *labels,
	const struct exposition_histogram *h)
{
	char text[SECONDS_MAX];
	struct exposition_label bound = {"le", text};
	uint64_t count = 0;

	for (size_t i = 0; i < h->bound_count; i++) {
		count += h->counts[i];
		format_seconds(h->bounds[i], text);
		put_number(e, "_bucket", labels, &bound, count);
	}
	count += h->counts[h->bound_count];
	snprintf(text, sizeof(text), "+Inf");
	put_number(e, "_bucket", labels, &bound, count);
	format_seconds(h->sum, text);
	put_sample(e, "_sum", labels, NULL, text);
	put_number(e, "_count", labels, NULL, count);
}
