/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/opener_rules.h"

#include <fcntl.h>
#include <libgen.h>
#include <string.h>

#include "sink/segment.h"
#include "sink/spool_folder.h"
#include "sink/tls_settings.h"

enum {
	/* what stands beside the way of access in any flags of ours and does no harm */
	HARMLESS = O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	ROTATED_DIGITS = 4, /* sink/file.c: the same behind a file's */
};

static bool is_read(const struct opener_request *r)
{
	return r->verb == OPENER_STATUS ||
	       (r->verb == OPENER_OPEN && !(r->flags & ~(HARMLESS | O_DIRECTORY)));
}

static bool is_open(const struct opener_request *r, int with, int may)
{
	return r->verb == OPENER_OPEN && !(r->flags & ~(with | may | HARMLESS)) &&
	       (r->flags & with) == with;
}

/* What follows prefix in text; NULL: it does not begin so. */
static const char *behind(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) ? NULL : text + len;
}

/* A name in that folder, not a path further down nor one that leads out of it; or NULL. */
static const char *name_in(const char *path, const char *folder)
{
	const char *rest = behind(path, folder);

	if (!rest || *rest++ != '/' || !*rest || strchr(rest, '/'))
		return NULL;
	return strcmp(rest, ".") && strcmp(rest, "..") ? rest : NULL;
}

static bool is_suffix(const char *text, size_t digits_min, size_t digits_max, const char *digits)
{
	size_t len;

	if (*text++ != '.')
		return false;
	len = strspn(text, digits);
	return len >= digits_min && len <= digits_max && !text[len];
}

/* Behind a conversion of strftime(3) that begins at its '%'. */
static const char *behind_conversion(const char *at)
{
	at++;
	at += strspn(at, "_-0^#");
	at += strspn(at, "0123456789");
	at += strspn(at, "EO");
	return *at ? at + 1 : at;
}

/*
 * Where the text that the template can make ends in path: there what is left must be a rotated
 * file's number, or nothing. As for '*' in glob(7), the last conversion is made longer when what
 * follows it does not fit.
 */
static bool matches(const char *template, const char *path)
{
	const char *retry_template = NULL, *retry_path = NULL;

	for (;;) {
		if (*template == '%' && template[1] != '%') {
			template = retry_template = behind_conversion(template);
			retry_path = path;
			continue;
		}
		if (!*template && (!*path || is_suffix(path, 1, ROTATED_DIGITS, "0123456789")))
			return true;
		if (*template && *template == *path) {
			template += 1 + (*template == '%');
			path++;
			continue;
		}
		if (!retry_template || !*retry_path || strchr("/.", *retry_path))
			return false;
		template = retry_template;
		path = ++retry_path;
	}
}

/* Of many files none that is there is opened again, but what is not a file at all. */
static bool file_allows(const struct sink_url *url, const struct opener_request *r)
{
	const struct sink_settings *s = &url->settings;
	const bool many = strchr(url->target, '%') || s->rotate_size || s->rotate_interval;
	const bool exact = !strcmp(r->path, url->target);

	if (!exact && !(many && matches(url->target, r->path)))
		return false;
	if (r->verb == OPENER_DISCARD)
		return many;
	if (r->verb == OPENER_STATUS || is_open(r, O_WRONLY | O_CREAT | O_EXCL, O_APPEND))
		return true;
	if (many) /* the opener looks at what it is (agent/opener_serve.c) */
		return exact && is_open(r, O_WRONLY | O_APPEND, 0);
	return exact && is_open(r, O_WRONLY, O_APPEND | O_CREAT);
}

static bool unix_allows(const struct sink_url *url, const struct opener_request *r)
{
	char copy[SINK_TEXT_MAX];

	if (r->verb == OPENER_CONNECT || r->verb == OPENER_STATUS)
		return !strcmp(r->path, url->target);
	if (r->verb != OPENER_WATCH)
		return false;
	memcpy(copy, url->target, sizeof(copy));
	return !strcmp(r->path, dirname(copy));
}

static bool spool_allows(
	const char *folder, const struct sink_url *url, const struct opener_request *r)
{
	char own[PATH_MAX];
	const char *name;
	uint64_t number;

	if (r->verb == OPENER_MKDIR && !strcmp(r->path, folder))
		return true;
	if (spool_folder_path(folder, url, own, sizeof(own)))
		return false;
	if (!strcmp(r->path, own))
		return r->verb == OPENER_MKDIR || is_read(r);
	name = name_in(r->path, own);
	if (!name)
		return false;
	if (!strcmp(name, SPOOL_LOCK))
		return is_open(r, O_RDWR | O_CREAT, 0);
	return segment_number(name, &number) &&
	       (r->verb == OPENER_UNLINK || is_open(r, 0, O_ACCMODE | O_CREAT | O_EXCL));
}

static bool tls_allows(
	const struct options *o, const struct sink_url *url, const struct opener_request *r)
{
	const struct tls_settings tls = tls_settings_of(&url->settings, &o->tls);
	const char *own[] = {tls.ca, tls.cert, tls.key};
	const char *name = tls.ca ? name_in(r->path, tls.ca) : NULL;

	if (!is_read(r))
		return false;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i] && !strcmp(r->path, own[i]))
			return true;
	return name && tls_name_is_hashed(name);
}

static bool sink_allows(
	const struct options *o, const struct sink_url *url, const struct opener_request *r)
{
	const char *spool = sink_setting(&url->settings, url->settings.spool, o->spool);
	const bool remote = url->kind != SINK_FILE && url->kind != SINK_LINES;

	if (remote && spool && spool_allows(spool, url, r))
		return true;
	switch (url->kind) {
	case SINK_UNIX:
		return unix_allows(url, r);
	case SINK_TLS:
		return tls_allows(o, url, r);
	case SINK_FILE:
		return file_allows(url, r);
	case SINK_LINES:
		return !strcmp(r->path, FILES_STDOUT) && is_open(r, O_WRONLY, 0);
	case SINK_TCP:
		break;
	}
	return false;
}

/* The file itself is replaced whole by one beside it, or written to when it is none (a pipe). */
static bool ledger_allows(const char *ledger, const struct opener_request *r)
{
	const char *rest = behind(r->path, ledger);

	if (!rest)
		return false;
	if (!*rest)
		return r->verb == OPENER_STATUS || r->verb == OPENER_WRITABLE ||
		       is_open(r, O_WRONLY, 0);
	if (!is_suffix(rest, FILES_TEMPORARY_DIGITS, FILES_TEMPORARY_DIGITS, "0123456789abcdef"))
		return false;
	if (r->verb == OPENER_RENAME)
		return !strcmp(r->to, ledger);
	return r->verb == OPENER_UNLINK || is_open(r, O_WRONLY | O_CREAT | O_EXCL, 0);
}

bool opener_rules_allow(const struct options *o, const struct opener_request *r)
{
	switch ((enum opener_verb)r->verb) {
	case OPENER_SOCKET:
		return !o->read && (!r->netns || o->netns_count);
	case OPENER_NETNS_LIST:
		return o->netns_count;
	case OPENER_RELOAD:
	case OPENER_COMMIT:
	case OPENER_ABORT:
	case OPENER_FORGET:
		return o->config;
	case OPENER_HELLO:
		return true;
	default:
		break;
	}
	if (o->config && !strcmp(r->path, o->config) && is_read(r))
		return true;
	if (o->ledger && ledger_allows(o->ledger, r))
		return true;
	for (size_t i = 0; i < o->sink_count; i++)
		if (sink_allows(o, &o->sinks[i], r))
			return true;
	return false;
}

bool opener_rules_allow_sink(const struct options *o, size_t sink, const struct opener_request *r)
{
	switch ((enum opener_verb)r->verb) {
	case OPENER_SOCKET:
	case OPENER_NETNS_LIST:
	case OPENER_RELOAD:
	case OPENER_COMMIT:
	case OPENER_ABORT:
	case OPENER_FORGET:
	case OPENER_HELLO:
		return false;
	default:
		return sink_allows(o, &o->sinks[sink], r);
	}
}
