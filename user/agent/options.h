/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line and the configuration file. One table (agent/options_table.c) makes the options,
 * the file's keys, the usage text, the range checks and, by options_walk, whatever is generated
 * from them. The command line wins over the file; a repeatable option on it replaces the file's
 * list.
 *
 * Ownership: strings point into argv, or into memory of the struct's own that options_free frees.
 * Threads: none; parse before any is started, or from the one that reloads.
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
	OPTIONS_NETNS_MAX = 64,
	OPTIONS_CLIENTS_MAX = 64,
	OPTIONS_SERVERS_MAX = 64,
	OPTIONS_NAMES_MAX = 64,
	OPTIONS_RCODES = 4096, /* 12 bits with EDNS, RFC 6891 6.1.3 */
	OPTIONS_CHOICES_MAX = 32,
	OPTIONS_INITIAL_MAX = 96,
	OPTIONS_ERROR_MAX = 512 + SINK_TEXT_MAX,
	OPTIONS_PORT_DEFAULT = 53,
};

enum options_confine { CONFINE_ON, CONFINE_LOG, CONFINE_OFF };

/* An address prefix; the bits behind its length are 0. */
struct options_prefix {
	uint8_t family;
	uint8_t address[16];
	unsigned len; /* bits */
};

/* A set of response codes, bit rcode % 8 of byte rcode / 8; any_given: it is not empty. */
struct options_rcodes {
	bool any_given;
	uint8_t bits[OPTIONS_RCODES / 8];
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

	const char *config; /* NULL: no file */
	bool check_config;
	const char *user;                     /* NULL: dnstap-bpf if there is one, else nobody */
	int confine;                          /* enum options_confine */
	const char *netns[OPTIONS_NETNS_MAX]; /* all, a name or a pid; none: only our own */
	size_t netns_count;
	const char *metrics; /* ADDRESS:PORT, [ADDRESS]:PORT or PORT alone; NULL: off */
	struct options_prefix clients[OPTIONS_CLIENTS_MAX];
	size_t client_count; /* 0: all */
	struct options_prefix servers[OPTIONS_SERVERS_MAX];
	size_t server_count;                  /* 0: all */
	uint64_t sample;                      /* one in so many exchanges; 1: all */
	uint32_t types;                       /* bit 1 << enum message_type; 0: all */
	const char *names[OPTIONS_NAMES_MAX]; /* suffixes of question names, as text */
	size_t name_count;                    /* 0: all */
	struct options_rcodes rcodes;
	bool anonymise;
	uint8_t anonymise_v4, anonymise_v6; /* prefix lengths that are kept */

	struct options_text *text; /* what the strings from a file lie in; options_free */
};

/*
 * The command line, and the file that --config names. 0 or -EINVAL, then error holds one line that
 * says what to do; a fault of the file begins with FILE:LINE: KEY. Frees nothing; on an error too
 * options_free is due.
 */
int options_parse(int argc, char **argv, struct options *ret, char error[static OPTIONS_ERROR_MAX]);

/* Where options come from, for those who do not open files themselves. */
struct options_source {
	int argc;
	char **argv;
	int (*open)(void *arg, const char *path); /* a descriptor or -errno; NULL: open(2) */
	void *arg;
};

/* Gets one fault, a line without its end. */
typedef void options_fault_fn(void *arg, const char *line);

/* As options_parse, and found gets every fault that can be told apart (--check-config). */
int options_parse_all(const struct options_source *source, struct options *ret,
	options_fault_fn *found, void *arg);
/* As options_parse. */
int options_parse_from(const struct options_source *source, struct options *ret,
	char error[static OPTIONS_ERROR_MAX]);

/*
 * After a reload: puts back what cannot change while the tap runs; told gets the name of each that
 * differs. now keeps nothing of was. 0 or -ENOMEM.
 */
int options_keep_fixed(
	struct options *now, const struct options *was, options_fault_fn *told, void *arg);

/* What a file's strings lie in. Twice is fine; a copy of the struct shares it. */
void options_free(struct options *options);

void options_usage(FILE *to);

/* One option, for those who write about all of them: man pages, completion. */
struct options_info {
	const char *name;
	char letter;                              /* of the short form; 0: none */
	const char *argument;                     /* NULL: takes none */
	const char *help;                         /* a phrase, without the default */
	const char *more;                         /* sentences for a manual; NULL: none */
	const char *choices[OPTIONS_CHOICES_MAX]; /* NULL behind the last; none: free text */
	char initial[OPTIONS_INITIAL_MAX];        /* what holds when it is not given; "": nothing */
	bool ranged, sized;                       /* a number; sized: K, M and G may follow */
	uint64_t minimum, maximum;                /* of a number */
	bool repeatable;                          /* a list in the file */
	bool in_file;                             /* a key there too */
	bool fixed;                               /* a reload does not change it */
};

/* The option of that place in the table, from 0; false behind the last. */
bool options_walk(size_t place, struct options_info *ret);

#endif
