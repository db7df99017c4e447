/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FORMS "/path, unix:///path, tcp://host[:6000], tls://host[:6000], file:///path or -"

struct complaint {
	const char *text; /* the sink's name */
	char *error;
	size_t error_size;
};

static bool is_control_character(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct complaint *c, const char *format, ...)
{
	char why[400];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	snprintf(c->error, c->error_size, "sink '%.200s': %s", c->text, why);
	/* the text is the user's, but the line stays one line */
	for (char *at = c->error; *at; at++) {
		if (is_control_character(*at))
			*at = '?';
	}
	return -EINVAL;
}

/* The part after "scheme://", or NULL. */
static const char *after_scheme(const char *text, const char *scheme)
{
	size_t len = strlen(scheme);

	if (strncmp(text, scheme, len) || strncmp(text + len, "://", 3))
		return NULL;
	return text + len + 3;
}

static bool has_control_character(const char *text)
{
	while (*text && !is_control_character(*text))
		text++;
	return *text;
}

static int parse_port(const char *digits, uint16_t *ret)
{
	unsigned int port = 0;

	if (!*digits || strlen(digits) > 5)
		return -EINVAL;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9')
			return -EINVAL;
		port = port * 10 + (unsigned int)(*digits - '0');
	}
	if (port < 1 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* The address without a scope, since inet_pton knows none (fe80::1%eth0). */
static bool is_ipv6(const char *host)
{
	char bare[INET6_ADDRSTRLEN];
	size_t len = strcspn(host, "%");
	struct in6_addr address;

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host, len);
	bare[len] = 0;
	return inet_pton(AF_INET6, bare, &address) == 1;
}

static bool is_host_name(const char *host)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	return *host && !host[strspn(host, allowed)];
}

/* The length of the host's text, *ret_after where the port's colon or the end must stand. */
static int split_host(const char *rest, struct sink_url *url, const char **ret_after)
{
	const char *end;

	if (*rest == '[') {
		end = strchr(++rest, ']');
		*ret_after = end ? end + 1 : NULL;
	} else {
		end = rest + strcspn(rest, ":");
		*ret_after = end;
	}
	if (!end || end - rest > SINK_HOST_MAX)
		return -EINVAL;
	memcpy(url->target, rest, (size_t)(end - rest));
	url->target[end - rest] = 0;
	return 0;
}

/*
 * An IPv6 address without its brackets, and perhaps a port: a last group of four digits or more
 * behind what is an address too is taken for one.
 */
static int refuse_bare_ipv6(const char *scheme, const char *rest, const struct complaint *c)
{
	const char *last = strrchr(rest, ':');
	char before[INET6_ADDRSTRLEN + 20];
	uint16_t port = SINK_TCP_PORT_DEFAULT;

	snprintf(before, sizeof(before), "%.*s", (int)(last - rest), rest);
	if (!is_ipv6(before) || (is_ipv6(rest) && strlen(last + 1) < 4) ||
		parse_port(last + 1, &port)) {
		port = SINK_TCP_PORT_DEFAULT;
		snprintf(before, sizeof(before), "%s", rest);
	}
	return refuse(c, "an IPv6 address stands in brackets: %s://[%s]:%d", scheme, before, port);
}

static bool is_bare_ipv6(const char *rest)
{
	const char *last = strrchr(rest, ':');
	char before[INET6_ADDRSTRLEN + 20];

	if (!last || (size_t)(last - rest) >= sizeof(before))
		return false;
	memcpy(before, rest, (size_t)(last - rest));
	before[last - rest] = 0;
	return is_ipv6(rest) || is_ipv6(before);
}

static int parse_host(
	enum sink_kind kind, const char *rest, struct sink_url *url, const struct complaint *c)
{
	const char *scheme = kind == SINK_TLS ? "tls" : "tcp", *after;

	url->kind = kind;
	url->port = SINK_TCP_PORT_DEFAULT;
	if (*rest != '[' && is_bare_ipv6(rest))
		return refuse_bare_ipv6(scheme, rest, c);
	if (split_host(rest, url, &after))
		return refuse(c, "write %s://host:port or %s://[IPv6]:port", scheme, scheme);
	if (*rest == '[' ? !is_ipv6(url->target) : !is_host_name(url->target))
		return refuse(c, "'%.100s' is neither a host name nor an address", url->target);
	if (*after && (*after != ':' || parse_port(after + 1, &url->port)))
		return refuse(c, "the port must be a number from 1 to 65535");
	return 0;
}

static int parse_path(
	enum sink_kind kind, const char *path, struct sink_url *url, const struct complaint *c)
{
	url->kind = kind;
	if (!*path)
		return refuse(c, "the path is missing");
	if (kind == SINK_UNIX && *path == '@')
		return refuse(c,
			"an abstract socket cannot be a sink, since anybody may bind it: "
			"give a path (a socket of that name is ./%.100s)",
			path);
	if (kind == SINK_UNIX && strlen(path) > SINK_UNIX_PATH_MAX)
		return refuse(c, "the path of a Unix socket has at most %d bytes, this has %zu",
			SINK_UNIX_PATH_MAX, strlen(path));
	memcpy(url->target, path, strlen(path) + 1);
	return 0;
}

/* The word `full` with other letters, or one of them missing or too many. */
static bool is_nearly_full(const char *text)
{
	return (*text == 'f' || *text == 'F') && strlen(text) <= 5 && strpbrk(text, "lL");
}

static bool is_host_and_port(const char *text)
{
	const char *colon = strrchr(text, ':');
	uint16_t port;

	return colon && colon != text && !parse_port(colon + 1, &port);
}

/* A path, unless it looks like a scheme or a word mistyped: as a socket it would never appear. */
static int parse_bare(const char *text, struct sink_url *url, const struct complaint *c)
{
	static const char *const schemes[] = {"unix:", "tcp:", "file:", "tls:", "udp:"};

	if (strstr(text, "://") && text[0] != '/')
		return refuse(c, "there is no such kind of sink: write " FORMS);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (!strncmp(text, schemes[i], strlen(schemes[i])))
			return refuse(c, "the slashes are missing: write " FORMS);
	}
	if (strchr(text, '/'))
		return parse_path(SINK_UNIX, text, url, c);
	if (is_host_and_port(text))
		return refuse(c, "did you mean tcp://%.100s?", text);
	if (is_nearly_full(text))
		return refuse(c, "did you mean full? (A socket of that name is ./%.100s)", text);
	return refuse(c, "write ./%.100s if a Unix socket is meant, else " FORMS, text);
}

/* text: the name without its options. */
static int parse_name(const char *text, struct sink_url *url, const struct complaint *c)
{
	const char *rest;

	if (!strcmp(text, "-")) {
		url->kind = SINK_LINES;
		return 0;
	}
	if ((rest = after_scheme(text, "unix")))
		return parse_path(SINK_UNIX, rest, url, c);
	if ((rest = after_scheme(text, "file")))
		return parse_path(SINK_FILE, rest, url, c);
	if ((rest = after_scheme(text, "tcp")))
		return parse_host(SINK_TCP, rest, url, c);
	if ((rest = after_scheme(text, "tls")))
		return parse_host(SINK_TLS, rest, url, c);
	return parse_bare(text, url, c);
}

bool sink_url_same_place(const struct sink_url *a, const struct sink_url *b)
{
	return a->kind == b->kind && a->port == b->port && !strcmp(a->target, b->target);
}

int sink_url_parse(const char *text, struct sink_url *ret, char *error, size_t error_size)
{
	const struct complaint c = {.text = text, .error = error, .error_size = error_size};
	char name[SINK_TEXT_MAX], why[300];
	size_t len = strcspn(text, "?");
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (strlen(text) >= sizeof(ret->text))
		return refuse(&c, "it is longer than %zu bytes", sizeof(ret->text) - 1);
	if (!*text)
		return refuse(&c, "it is empty: write " FORMS);
	if (has_control_character(text))
		return refuse(&c, "it has a control character in it");
	memcpy(ret->text, text, strlen(text) + 1);
	memcpy(name, text, len);
	name[len] = 0;
	rc = parse_name(name, ret, &c);
	if (rc || !text[len])
		return rc;
	if (sink_settings_parse(text + len + 1, ret->kind, &ret->settings, why, sizeof(why)))
		return refuse(&c, "%s", why);
	return 0;
}
