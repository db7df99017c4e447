/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line. One table in options.c makes the options, the usage text and the range
 * checks. Strings point into argv.
 */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "capture/rings.h"
#include "dnstap/lines.h"
#include "exchange/roles.h"
#include "sink/sink.h"

enum {
	OPTIONS_SINKS_MAX = 8,
	OPTIONS_INTERFACES_MAX = 64,
	OPTIONS_PORTS_MAX = 64,
	OPTIONS_LOCAL_MAX = 64,
	OPTIONS_ERROR_MAX = 512 + SINK_TEXT_MAX,
	OPTIONS_PORT_DEFAULT = 53,
};

/* An address prefix of --local. */
struct options_prefix {
	uint8_t family;
	uint8_t address[16];
	unsigned len; /* bits */
};

struct options {
	struct sink_url sinks[OPTIONS_SINKS_MAX];
	size_t sink_count;
	const char *interfaces[OPTIONS_INTERFACES_MAX];
	size_t interface_count;
	uint16_t ports[OPTIONS_PORTS_MAX];
	size_t port_count;
	const char *read;   /* a capture file; NULL: live */
	int ring;           /* enum rings_kind */
	uint64_t ring_size; /* bytes; 0: by the machine's CPUs */
	int role;           /* enum role */
	struct options_prefix local[OPTIONS_LOCAL_MAX];
	size_t local_count;
	bool promiscuous, transit, with_query, query_zone;
	const char *extra;    /* a template; NULL: none */
	const char *identity; /* NULL: the host's name */
	const char *version_string;
	uint64_t query_timeout; /* seconds */
	uint64_t max_queries;
	uint64_t max_streams;
	uint64_t stream_memory; /* bytes */
	uint64_t queue_size;    /* bytes, of each sink */
	const char *spool;      /* a folder; NULL: none */
	uint64_t spool_size;    /* bytes, of each sink's */
	struct sink_tls tls;    /* for the tls sinks that do not say otherwise */
	int format;             /* enum lines_format */
	const char *ledger;     /* NULL: no file */
	bool verbose, show_version, show_help;
};

/* 0 or -EINVAL, then error holds one line that says what to do. */
int options_parse(int argc, char **argv, struct options *ret, char error[static OPTIONS_ERROR_MAX]);

void options_usage(FILE *to);

#endif
