/* SPDX-License-Identifier: BSD-2-Clause */
/* What of the options was decided at the start: see options_keep_fixed. */
#include "agent/options_table.h"

#include <errno.h>
#include <string.h>

static size_t value_size(const struct option_spec *s)
{
	switch (s->kind) {
	case OPTION_FLAG:
		return sizeof(bool);
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return sizeof(uint64_t);
	default:
		return sizeof(int);
	}
}

static bool is_list(const struct option_spec *s)
{
	return s->kind == OPTION_INTERFACES || s->kind == OPTION_TEXTS;
}

static bool is_text(const struct option_spec *s)
{
	return s->kind == OPTION_TEXT || s->kind == OPTION_UTF8 || s->kind == OPTION_ENDPOINT;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* A list of texts, or one text, as the list of one. */
static size_t texts_of(
	const struct options *o, const struct option_spec *s, const char *const **ret)
{
	*ret = (const char *const *)((const char *)o + s->offset);
	return is_list(s) ? *(const size_t *)((const char *)o + s->count) : 1;
}

static bool is_same(const struct options *a, const struct options *b, const struct option_spec *s)
{
	const char *const *x, *const *y;
	size_t count;

	if (!is_list(s) && !is_text(s))
		return !memcmp(
			(const char *)a + s->offset, (const char *)b + s->offset, value_size(s));
	count = texts_of(a, s, &x);
	if (count != texts_of(b, s, &y))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!same_text(x[i], y[i]))
			return false;
	return true;
}

static int put_back(struct options *now, const struct options *was, const struct option_spec *s)
{
	const char **to = (const char **)((char *)now + s->offset);
	const char *const *from;
	size_t count;

	if (!is_list(s) && !is_text(s)) {
		memcpy(to, (const char *)was + s->offset, value_size(s));
		return 0;
	}
	count = texts_of(was, s, &from);
	for (size_t i = 0; i < count; i++) {
		to[i] = from[i] ? option_keep_text(now, from[i]) : NULL;
		if (from[i] && !to[i])
			return -ENOMEM;
	}
	if (is_list(s))
		*(size_t *)((char *)now + s->count) = count;
	return 0;
}

int options_keep_fixed(
	struct options *now, const struct options *was, options_fault_fn *told, void *arg)
{
	int err = 0;

	for (size_t i = 0; i < OPTION_SPECS && !err; i++) {
		const struct option_spec *s = &option_specs[i];

		if (!s->fixed || is_same(now, was, s))
			continue;
		told(arg, s->name);
		err = put_back(now, was, s);
	}
	return err;
}
