/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The name of a sink, as the CoreDNS plugin writes it:
 *   /path, path, unix:///path   a Unix socket
 *   tcp://host[:6000]           names, IPv4, IPv6 in brackets
 *   file:///path, file://path   a Frame Streams file
 *   -                           lines on standard output
 * A word with another scheme, or with a scheme but without its slashes, is refused: taken as a
 * path it would be a socket that never appears. Pure.
 */
#ifndef SINK_URL_H
#define SINK_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sink_kind { SINK_UNIX, SINK_TCP, SINK_FILE, SINK_LINES };

enum {
	SINK_TCP_PORT_DEFAULT = 6000,
	SINK_TEXT_MAX = 4096,     /* PATH_MAX, with its NUL */
	SINK_UNIX_PATH_MAX = 107, /* sun_path of unix(7), less its NUL */
	SINK_HOST_MAX = 253,      /* RFC 1035, as text */
};

struct sink_url {
	enum sink_kind kind;
	char text[SINK_TEXT_MAX];   /* as the user wrote it, for messages */
	char target[SINK_TEXT_MAX]; /* path, or host without brackets; empty for lines */
	uint16_t port;              /* tcp */
	bool full;                  /* the word `full` followed; the caller sets it */
};

/* 0 or -EINVAL, then error holds one line that says what is wrong and what is right. */
int sink_url_parse(const char *text, struct sink_url *ret, char *error, size_t error_size);

#endif
