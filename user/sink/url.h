/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The name of a sink, as the CoreDNS plugin writes it:
 *   /path, ./path, unix:///path   a Unix socket
 *   tcp://host[:6000]           names, IPv4, IPv6 in brackets
 *   tls://host[:6000]           the same, over TLS
 *   file:///path, file://path   a Frame Streams file
 *   -                           lines on standard output
 * Each may be followed by its own options: ?key=value&key=value (sink/settings.h); so the first
 * '?' ends a path.
 *
 * A word with another scheme, with a scheme but without its slashes, or without any slash is
 * refused: taken as a path it would be a socket that never appears. Pure.
 */
#ifndef SINK_URL_H
#define SINK_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/settings.h"

enum {
	SINK_TCP_PORT_DEFAULT = 6000,
	SINK_UNIX_PATH_MAX = 107, /* sun_path of unix(7), less its NUL */
	SINK_HOST_MAX = 253,      /* RFC 1035, as text */
};

struct sink_url {
	enum sink_kind kind;
	char text[SINK_TEXT_MAX];   /* as the user wrote it, for messages */
	char target[SINK_TEXT_MAX]; /* path, or host without brackets; empty for lines */
	uint16_t port;              /* tcp, tls */
	bool full;                  /* the word `full` followed; the caller sets it */
	struct sink_settings settings;
};

/* Two ways to write one place, whatever the settings: each message would go there twice. */
bool sink_url_same_place(const struct sink_url *a, const struct sink_url *b);

/* 0 or -EINVAL, then error holds one line that says what is wrong and what is right. */
int sink_url_parse(const char *text, struct sink_url *ret, char *error, size_t error_size);

#endif
