/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchanges.h"
#include "sink/sink.h"
#include "sink/words.h"
#include "wire/streams.h"

struct choice {
	const char *name;
	int value;
};

static const struct choice rings[] = {
	{"auto", RINGS_AUTO}, {"array", RINGS_ARRAY}, {"bpf", RINGS_BPF}, {"perf", RINGS_PERF},
	{0}};
static const struct choice formats[] = {{"text", LINES_TEXT}, {"json", LINES_JSON}, {0}};
static const struct choice role_names[] = {{"auto", ROLE_AUTO}, {"auth", ROLE_AUTH},
	{"client", ROLE_CLIENT}, {"resolver", ROLE_RESOLVER}, {"forwarder", ROLE_FORWARDER},
	{"stub", ROLE_STUB}, {"tool", ROLE_TOOL}, {0}};

enum kind { FLAG, TEXT, NUMBER, SIZE, CHOICE, INTERFACE, PORT, LOCAL };

struct spec {
	const char *name;
	char letter; /* 0: long only */
	enum kind kind;
	size_t offset;     /* in struct options; for lists unused */
	uint64_t min, max; /* NUMBER, SIZE */
	const struct choice *choices;
	const char *argument; /* in the usage text; NULL: none */
	const char *help;
};

#define FIELD(name) offsetof(struct options, name)

static const struct spec specs[] = {
	{"interface", 'i', INTERFACE, 0, .argument = "NAME",
		.help = "watch this interface; repeat for more (default: each that is up,\n"
			"has no master, and has an address or a default route)"},
	{"port", 0, PORT, 0, .argument = "N",
		.help = "watch this port; repeat for more (default 53)"},
	{"read", 'r', TEXT, FIELD(read), .argument = "FILE",
		.help = "take the packets from a pcap or pcapng file; no privilege needed"},
	{"role", 0, CHOICE, FIELD(role), .choices = role_names, .argument = "ROLE",
		.help = "auto, auth, client, resolver, forwarder, stub or tool (auto)"},
	{"local", 0, LOCAL, 0, .argument = "CIDR",
		.help = "count these addresses as this host's too; repeat for more"},
	{"promiscuous", 0, FLAG, FIELD(promiscuous),
		.help = "watch a mirror port, as if from the servers' side"},
	{"transit", 0, FLAG, FIELD(transit),
		.help = "also emit messages between hosts that are not this one"},
	{"identity", 0, TEXT, FIELD(identity), .argument = "TEXT",
		.help = "dnstap identity (the host's name; empty: none)"},
	{"version-string", 0, TEXT, FIELD(version_string), .argument = "TEXT",
		.help = "dnstap version (this program's; empty: none)"},
	{"with-query", 0, FLAG, FIELD(with_query),
		.help = "with full: responses carry their query's bytes too"},
	{"query-zone", 0, FLAG, FIELD(query_zone),
		.help = "give the zone of AUTH, RESOLVER and UPDATE messages that prove it"},
	{"extra", 0, TEXT, FIELD(extra), .argument = "TEXT",
		.help = "dnstap extra; {interface} and {vlan} are filled in (none)"},
	{"format", 0, CHOICE, FIELD(format), .choices = formats, .argument = "FORMAT",
		.help = "of the lines on standard output: text or json (text)"},
	{"ledger", 0, TEXT, FIELD(ledger), .argument = "FILE",
		.help = "write the ledger as JSON, at exit and on SIGUSR1"},
	{"query-timeout", 0, NUMBER, FIELD(query_timeout), EXCHANGES_TIMEOUT_MIN,
		EXCHANGES_TIMEOUT_MAX, .argument = "S",
		.help = "seconds to wait for a response (30)"},
	{"max-queries", 0, NUMBER, FIELD(max_queries), EXCHANGES_MAX_QUERIES_MIN,
		EXCHANGES_MAX_QUERIES_MAX, .argument = "N",
		.help = "queries waiting for a response (65536)"},
	{"max-streams", 0, NUMBER, FIELD(max_streams), STREAMS_MAX_MIN, STREAMS_MAX_MAX,
		.argument = "N", .help = "TCP connections followed at once (4096)"},
	{"stream-memory", 0, SIZE, FIELD(stream_memory), STREAMS_MEMORY_MIN, STREAMS_MEMORY_MAX,
		.argument = "BYTES", .help = "for what of them is not whole yet (16M)"},
	{"queue-size", 0, SIZE, FIELD(queue_size), SINK_QUEUE_MIN, SINK_QUEUE_MAX,
		.argument = "BYTES", .help = "of each sink's queue (16M)"},
	{"spool", 0, TEXT, FIELD(spool), .argument = "DIR",
		.help = "messages wait there for a collector that is away (off)"},
	{"spool-size", 0, SIZE, FIELD(spool_size), SINK_SPOOL_MIN, SINK_SPOOL_MAX,
		.argument = "BYTES", .help = "of each sink's spool; the oldest are given up (1G)"},
	{"tls-ca", 0, TEXT, FIELD(tls.ca), .argument = "PATH",
		.help = "tls sinks: whom to trust, a file or folder (as the system does)"},
	{"tls-cert", 0, TEXT, FIELD(tls.cert), .argument = "FILE",
		.help = "tls sinks: our own certificate, PEM (none)"},
	{"tls-key", 0, TEXT, FIELD(tls.key), .argument = "FILE",
		.help = "tls sinks: its key (in the same file)"},
	{"tls-no-verify", 0, FLAG, FIELD(tls.no_verify),
		.help = "tls sinks: take any certificate for good"},
	{"ring", 0, CHOICE, FIELD(ring), .choices = rings, .argument = "KIND",
		.help = "array, bpf or perf (auto: array, the cheapest)"},
	{"ring-size", 0, SIZE, FIELD(ring_size), RINGS_SIZE_MIN, RINGS_SIZE_MAX,
		.argument = "BYTES",
		.help = "a power of two; bpf has one for all CPUs (8M a CPU, 128M in all)"},
	{"verbose", 0, FLAG, FIELD(verbose), .help = "say more, the BPF verifier's log included"},
	{"version", 'V', FLAG, FIELD(show_version), .help = "print the version"},
	{"help", 'h', FLAG, FIELD(show_help), .help = "print this"},
};

enum { SPEC_COUNT = sizeof(specs) / sizeof(specs[0]), LONG_ONLY = 256 };

static const struct options defaults = {
	.ring = RINGS_AUTO,
	.role = ROLE_AUTO,
	.query_timeout = EXCHANGES_TIMEOUT_DEFAULT,
	.max_queries = EXCHANGES_MAX_QUERIES_DEFAULT,
	.max_streams = STREAMS_MAX_DEFAULT,
	.stream_memory = STREAMS_MEMORY_DEFAULT,
	.queue_size = SINK_QUEUE_DEFAULT,
	.spool_size = SINK_SPOOL_DEFAULT,
	.format = LINES_TEXT,
};

static int fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, OPTIONS_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static void *field(struct options *o, const struct spec *spec)
{
	return (char *)o + spec->offset;
}

/* Decimal digits with, for sizes, one of the suffixes K, M, G (powers of 1024). */
static bool parse_number(const char *text, bool suffix, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || end == text)
		return false;
	if (!*end)
		return true;
	unit = strchr(units, *end);
	if (!suffix || !unit || end[1])
		return false;
	for (const char *u = units; u <= unit; u++) {
		if (*ret > UINT64_MAX / 1024)
			return false;
		*ret *= 1024;
	}
	return true;
}

static int set_number(struct options *o, const struct spec *s, const char *text, char *error)
{
	uint64_t value;

	if (!parse_number(text, s->kind == SIZE, &value) || value < s->min || value > s->max)
		return fail(error, "--%s %s: give a number from %" PRIu64 " to %" PRIu64 "%s",
			s->name, text, s->min, s->max,
			s->kind == SIZE ? " (K, M and G may follow)" : "");
	*(uint64_t *)field(o, s) = value;
	return 0;
}

static int set_choice(struct options *o, const struct spec *s, const char *text, char *error)
{
	char names[128] = "";

	for (const struct choice *c = s->choices; c->name; c++) {
		if (!strcmp(c->name, text)) {
			*(int *)field(o, s) = c->value;
			return 0;
		}
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			*names ? ", " : "", c->name);
	}
	return fail(error, "--%s %s: give one of %s", s->name, text, names);
}

static int add_port(struct options *o, const char *text, char *error)
{
	uint64_t port;

	if (!parse_number(text, false, &port) || port < 1 || port > 65535)
		return fail(error, "--port %s: give a number from 1 to 65535", text);
	if (o->port_count == OPTIONS_PORTS_MAX)
		return fail(error, "--port: at most %d ports", OPTIONS_PORTS_MAX);
	o->ports[o->port_count++] = (uint16_t)port;
	return 0;
}

/* ADDRESS or ADDRESS/LENGTH. */
static int add_local(struct options *o, const char *text, char *error)
{
	struct options_prefix *p = &o->local[o->local_count];
	char address[ADDRESS_TEXT_MAX + 1];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits;

	if (o->local_count == OPTIONS_LOCAL_MAX)
		return fail(error, "--local: at most %d prefixes", OPTIONS_LOCAL_MAX);
	*p = (struct options_prefix){.family = FAMILY_IPV4};
	snprintf(address, sizeof(address), "%.*s", (int)(len < sizeof(address) ? len : 0), text);
	if (strchr(address, ':'))
		p->family = FAMILY_IPV6;
	bits = 8 * family_len(p->family);
	if (inet_pton(p->family == FAMILY_IPV4 ? AF_INET : AF_INET6, address, p->address) != 1 ||
		(slash && (!parse_number(slash + 1, false, &bits) ||
				  bits > 8 * family_len(p->family))))
		return fail(
			error, "--local %s: give an address, or a prefix as 192.0.2.0/24", text);
	p->len = (unsigned)bits;
	o->local_count++;
	return 0;
}

static int add_interface(struct options *o, const char *name, char *error)
{
	if (o->interface_count == OPTIONS_INTERFACES_MAX)
		return fail(error, "-i: at most %d interfaces", OPTIONS_INTERFACES_MAX);
	for (size_t i = 0; i < o->interface_count; i++)
		if (!strcmp(o->interfaces[i], name))
			return 0; /* a second socket would show each packet twice */
	o->interfaces[o->interface_count++] = name;
	return 0;
}

static int set_option(struct options *o, const struct spec *s, const char *text, char *error)
{
	switch (s->kind) {
	case FLAG:
		*(bool *)field(o, s) = true;
		return 0;
	case TEXT:
		*(const char **)field(o, s) = text;
		return 0;
	case NUMBER:
	case SIZE:
		return set_number(o, s, text, error);
	case CHOICE:
		return set_choice(o, s, text, error);
	case INTERFACE:
		return add_interface(o, text, error);
	case PORT:
		return add_port(o, text, error);
	case LOCAL:
		return add_local(o, text, error);
	}
	return fail(error, "--%s: not understood", s->name);
}

static bool spools(const struct options *o)
{
	bool any = o->spool;

	for (size_t i = 0; i < o->sink_count; i++)
		any |= o->sinks[i].settings.spool != 0;
	return any;
}

static int check_whole(struct options *o, char *error)
{
	if (o->show_help || o->show_version)
		return 0;
	if (!o->sink_count)
		return fail(error,
			"no sink: name one, as in: dnstap-bpf unix:///run/dnstap.sock full "
			"(--help shows all)");
	if (o->ring_size & (o->ring_size - 1))
		return fail(error, "--ring-size %" PRIu64 ": give a power of two", o->ring_size);
	if (o->read && (o->interface_count || o->promiscuous))
		return fail(
			error, "-i and --promiscuous do not go with -r: a file has no interfaces");
	if (o->read && spools(o))
		return fail(error, "a spool does not go with -r: a replay waits for its collector");
	if (!o->port_count)
		o->ports[o->port_count++] = OPTIONS_PORT_DEFAULT;
	return 0;
}

/*
 * getopt's two tables, made from ours. '-' gives us the words in their order between the options,
 * whatever POSIXLY_CORRECT says; ':' lets us write the errors ourselves.
 */
static void make_getopt_tables(struct option longs[SPEC_COUNT + 1], char shorts[2 * SPEC_COUNT + 3])
{
	char *s = shorts;

	*s++ = '-';
	*s++ = ':';
	for (int i = 0; i < SPEC_COUNT; i++) {
		longs[i] = (struct option){
			.name = specs[i].name,
			.has_arg = specs[i].argument ? required_argument : no_argument,
			.val = LONG_ONLY + i,
		};
		if (!specs[i].letter)
			continue;
		*s++ = specs[i].letter;
		if (specs[i].argument)
			*s++ = ':';
	}
	*s = '\0';
	longs[SPEC_COUNT] = (struct option){0};
}

static const struct spec *find_spec(int c)
{
	if (c >= LONG_ONLY && c < LONG_ONLY + SPEC_COUNT)
		return &specs[c - LONG_ONLY];
	for (int i = 0; i < SPEC_COUNT; i++)
		if (specs[i].letter && specs[i].letter == c)
			return &specs[i];
	return NULL;
}

static int take_word(struct options *o, const char *word, char *error)
{
	return words_take(
		o->sinks, &o->sink_count, OPTIONS_SINKS_MAX, word, error, OPTIONS_ERROR_MAX);
}

/* What getopt_long returned: a word, an option, or one of its two complaints. */
static int take(struct options *o, int c, char **argv, char *error)
{
	const struct spec *spec = find_spec(c);
	char letter[] = {'-', (char)optopt, '\0'};
	/* A short option may stand in the middle of its word; a long one is its word. */
	const char *name = optopt > 0 && optopt < LONG_ONLY ? letter : argv[optind - 1];

	if (c == 1)
		return take_word(o, optarg, error);
	if (c == ':')
		return fail(error, "%s wants a value (--help shows all)", name);
	if (!spec)
		return fail(error, "unknown or ambiguous option %s (--help shows all)", name);
	return set_option(o, spec, optarg, error);
}

int options_parse(int argc, char **argv, struct options *ret, char error[static OPTIONS_ERROR_MAX])
{
	struct option longs[SPEC_COUNT + 1];
	char shorts[2 * SPEC_COUNT + 3];
	int c, err = 0;

	*ret = defaults;
	make_getopt_tables(longs, shorts);
	opterr = 0;
	optind = 0; /* glibc: begin afresh */
	while (!err && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		err = take(ret, c, argv, error);
	for (; !err && optind < argc; optind++)
		err = take_word(ret, argv[optind], error);
	return err ? err : check_whole(ret, error);
}

static void print_spec(FILE *to, const struct spec *s)
{
	const char *line = s->help, *newline;
	char left[40];
	int width = 28;

	snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", s->letter ? '-' : ' ',
		s->letter ? s->letter : ' ', s->letter ? "," : " ", s->name, s->argument ? " " : "",
		s->argument ? s->argument : "");
	while ((newline = strchr(line, '\n'))) {
		fprintf(to, "%-*s %.*s\n", width, left, (int)(newline - line), line);
		line = newline + 1;
		left[0] = '\0';
	}
	fprintf(to, "%-*s %s\n", width, left, line);
}

void options_usage(FILE *to)
{
	fputs("usage: dnstap-bpf [OPTIONS] SINK[?KEY=VALUE&...] [full] [SINK [full]]...\n"
	      "Watches DNS packets beside any server and sends them as dnstap.\n\n"
	      "  SINK   /path or unix:///path    a Unix socket, as `dnstap -u` opens\n"
	      "         tcp://host[:6000]        a TCP collector; tls://host[:6000] over TLS\n"
	      "         file:///path             a Frame Streams file\n"
	      "         -                        one line a message on standard output\n"
	      "  full   with the DNS message itself, not only its addresses and times\n\n",
		to);
	for (int i = 0; i < SPEC_COUNT; i++)
		print_spec(to, &specs[i]);
}
