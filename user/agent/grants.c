/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/grants.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/opener_rules.h"

/* One reading of the options. */
struct reading {
	struct reading *next;
	uint32_t number; /* 0: the start's */
	struct options options;
};

/* A sink as some reading names it. */
struct kept {
	const struct options *options;
	size_t sink;
};

struct level {
	const struct options *options; /* NULL: nothing */
	struct kept kept[OPTIONS_SINKS_MAX];
	size_t kept_count;
};

enum { IN_FORCE, BEFORE, UNDECIDED, LEVELS };

struct grants {
	const struct options *start;
	const struct options_source *source;
	struct reading *readings; /* but the start's */
	uint32_t last;
	struct level levels[LEVELS];
};

struct grants *grants_new(const struct options *start, const struct options_source *source)
{
	struct grants *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->start = start;
	g->source = source;
	g->levels[IN_FORCE].options = start;
	return g;
}

static void reading_free(struct reading *r)
{
	if (r)
		options_free(&r->options);
	free(r);
}

static bool is_used(const struct grants *g, const struct options *options)
{
	for (int i = 0; i < LEVELS; i++) {
		const struct level *l = &g->levels[i];

		if (l->options == options)
			return true;
		for (size_t j = 0; j < l->kept_count; j++)
			if (l->kept[j].options == options)
				return true;
	}
	return false;
}

static void free_unused(struct grants *g)
{
	struct reading **at = &g->readings, *unused;

	while (*at) {
		if (is_used(g, &(*at)->options)) {
			at = &(*at)->next;
			continue;
		}
		unused = *at;
		*at = unused->next;
		reading_free(unused);
	}
}

static const struct options *find(const struct grants *g, uint32_t number)
{
	for (const struct reading *r = g->readings; r; r = r->next)
		if (r->number == number)
			return &r->options;
	return number ? NULL : g->start;
}

/* The worker reads them too, and says what is fixed. */
static void say_nothing(void *arg, const char *name)
{
	(void)arg, (void)name;
}

int grants_reload(struct grants *g)
{
	struct reading *r = calloc(1, sizeof(*r));
	char error[OPTIONS_ERROR_MAX]; /* as say_nothing */
	int err;

	grants_abort(g);
	if (!r)
		return -ENOMEM;
	err = options_parse_from(g->source, &r->options, error);
	if (!err)
		err = options_keep_fixed(&r->options, g->start, say_nothing, NULL);
	if (err) {
		reading_free(r);
		return err;
	}
	g->last = g->last == INT32_MAX ? 1 : g->last + 1;
	r->number = g->last;
	r->next = g->readings;
	g->readings = r;
	g->levels[UNDECIDED].options = &r->options;
	return (int)r->number;
}

void grants_commit(struct grants *g, const struct opener_place *places, size_t count)
{
	struct level now = {.options = g->levels[UNDECIDED].options};

	if (!now.options)
		return; /* it was said before */
	for (size_t i = 0; i < count && i < OPTIONS_SINKS_MAX; i++) {
		const struct options *named = find(g, places[i].reading);

		if (named && places[i].sink < named->sink_count)
			now.kept[now.kept_count++] =
				(struct kept){.options = named, .sink = places[i].sink};
	}
	g->levels[BEFORE] = g->levels[IN_FORCE];
	g->levels[IN_FORCE] = now;
	grants_abort(g);
}

void grants_abort(struct grants *g)
{
	g->levels[UNDECIDED] = (struct level){.options = NULL};
	free_unused(g);
}

void grants_forget(struct grants *g)
{
	g->levels[BEFORE] = (struct level){.options = NULL};
	free_unused(g);
}

static bool level_allows(const struct level *l, const struct opener_request *r)
{
	if (l->options && opener_rules_allow(l->options, r))
		return true;
	for (size_t i = 0; i < l->kept_count; i++)
		if (opener_rules_allow_sink(l->kept[i].options, l->kept[i].sink, r))
			return true;
	return false;
}

bool grants_allow(const struct grants *g, const struct opener_request *r)
{
	for (int i = 0; i < LEVELS; i++)
		if (level_allows(&g->levels[i], r))
			return true;
	return false;
}
