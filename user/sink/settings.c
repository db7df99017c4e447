/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kinds {
	ON_UNIX = 1 << SINK_UNIX,
	ON_TCP = 1 << SINK_TCP,
	ON_TLS = 1 << SINK_TLS,
	ON_FILE = 1 << SINK_FILE,
	ON_LINES = 1 << SINK_LINES,
	ON_SOCKETS = ON_UNIX | ON_TCP | ON_TLS,
	ON_ALL = ON_SOCKETS | ON_FILE | ON_LINES,
};

enum form { SIZE, SECONDS, CHOICE, PATH };

struct key {
	const char *name;
	unsigned int kinds;
	enum form form;
	size_t offset;     /* in struct sink_settings */
	uint64_t min, max; /* SIZE, SECONDS */
};

#define FIELD(name) offsetof(struct sink_settings, name)

static const struct key keys[] = {
	{"queue", ON_ALL, SIZE, FIELD(queue_size), SINK_QUEUE_MIN, SINK_QUEUE_MAX},
	{"rotate-size", ON_FILE, SIZE, FIELD(rotate_size), SINK_ROTATE_SIZE_MIN, 1ULL << 50},
	{"rotate-interval", ON_FILE, SECONDS, FIELD(rotate_interval), 1, SINK_ROTATE_INTERVAL_MAX},
	{"spool", ON_SOCKETS, PATH, FIELD(spool), 0, 0},
	{"spool-size", ON_SOCKETS, SIZE, FIELD(spool_size), SINK_SPOOL_MIN, SINK_SPOOL_MAX},
	{"unidirectional", ON_SOCKETS, CHOICE, FIELD(unidirectional), 0, 0},
	{"tls-verify", ON_TLS, CHOICE, FIELD(tls_verify), 0, 0},
	{"tls-ca", ON_TLS, PATH, FIELD(tls_ca), 0, 0},
	{"tls-cert", ON_TLS, PATH, FIELD(tls_cert), 0, 0},
	{"tls-key", ON_TLS, PATH, FIELD(tls_key), 0, 0},
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

struct complaint {
	char *why;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct complaint *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->why, c->size, format, args);
	va_end(args);
	return -EINVAL;
}

/* What one unit letter stands for; 0: it is none. */
static uint64_t unit_of(enum form form, char letter)
{
	static const struct {
		enum form form;
		char letter;
		uint64_t factor;
	} units[] = {{SIZE, 'K', 1U << 10}, {SIZE, 'M', 1U << 20}, {SIZE, 'G', 1U << 30},
		{SECONDS, 's', 1}, {SECONDS, 'm', 60}, {SECONDS, 'h', 3600}, {SECONDS, 'd', 86400}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].form == form && units[i].letter == letter)
			return units[i].factor;
	}
	return 0;
}

static int set_number(
	const struct key *key, const char *value, uint64_t *ret, const struct complaint *c)
{
	uint64_t n = 0, factor = 1;
	char *end = NULL;

	errno = 0;
	if (*value >= '0' && *value <= '9')
		n = strtoull(value, &end, 10);
	if (end && *end)
		factor = end[1] ? 0 : unit_of(key->form, *end);
	if (!end || errno || !factor || n > UINT64_MAX / factor || n * factor < key->min ||
		n * factor > key->max)
		return refuse(c,
			"%s: give a number from %" PRIu64 " to %" PRIu64 " (%s may follow)",
			key->name, key->min, key->max,
			key->form == SIZE ? "K, M and G" : "s, m, h and d");
	*ret = n * factor;
	return 0;
}

static int set_choice(
	const struct key *key, const char *value, enum sink_choice *ret, const struct complaint *c)
{
	if (!strcmp(value, "yes"))
		*ret = SINK_YES;
	else if (!strcmp(value, "no"))
		*ret = SINK_NO;
	else
		return refuse(c, "%s: give yes or no", key->name);
	return 0;
}

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	}
	return NULL;
}

static int refuse_key(const char *name, enum sink_kind kind, const struct complaint *c)
{
	char known[200] = "";
	size_t used = 0;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (keys[i].kinds & 1U << kind && used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
				used ? ", " : "", keys[i].name);
	}
	return refuse(c, "there is no option '%.40s' here, only %s", name, known);
}

/* word, "key=value", lies in s->text. */
static int set(struct sink_settings *s, enum sink_kind kind, char *word, const struct complaint *c)
{
	char *value = strchr(word, '=');
	const struct key *key;
	void *field;

	if (!value || !value[1])
		return refuse(c, "'%.60s': write ?key=value&key=value", word);
	*value++ = 0;
	key = find_key(word);
	if (!key || !(key->kinds & 1U << kind))
		return refuse_key(word, kind, c);
	field = (char *)s + key->offset;
	switch (key->form) {
	case SIZE:
	case SECONDS:
		return set_number(key, value, field, c);
	case CHOICE:
		return set_choice(key, value, field, c);
	case PATH:
		*(uint16_t *)field = (uint16_t)(value - s->text);
		return 0;
	}
	return -EINVAL;
}

int sink_settings_parse(const char *words, enum sink_kind kind, struct sink_settings *ret,
	char *why, size_t why_size)
{
	const struct complaint c = {why, why_size};
	char *word, *rest;
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	/* one byte is kept free in front, so that the place 0 means: not given */
	if (strlen(words) + 2 > sizeof(ret->text))
		return refuse(&c, "it is too long");
	memcpy(ret->text + 1, words, strlen(words) + 1);
	rest = ret->text + 1;
	while (!rc && (word = strsep(&rest, "&")))
		rc = set(ret, kind, word, &c);
	return rc;
}

const char *sink_setting(const struct sink_settings *s, uint16_t at, const char *fallback)
{
	return at ? s->text + at : fallback;
}
