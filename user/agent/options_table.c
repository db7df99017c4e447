/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/options_table.h"

#include <inttypes.h>
#include <string.h>

#include "dnstap/message.h"
#include "exchange/exchanges.h"
#include "wire/streams.h"

static const struct option_choice rings[] = {
	{"auto", RINGS_AUTO}, {"array", RINGS_ARRAY}, {"bpf", RINGS_BPF}, {"perf", RINGS_PERF},
	{0}};
static const struct option_choice formats[] = {{"text", LINES_TEXT}, {"json", LINES_JSON}, {0}};
static const struct option_choice confines[] = {
	{"on", CONFINE_ON}, {"log", CONFINE_LOG}, {"off", CONFINE_OFF}, {0}};
static const struct option_choice roles[] = {{"auto", ROLE_AUTO}, {"auth", ROLE_AUTH},
	{"client", ROLE_CLIENT}, {"resolver", ROLE_RESOLVER}, {"forwarder", ROLE_FORWARDER},
	{"stub", ROLE_STUB}, {"tool", ROLE_TOOL}, {0}};

#define FIELD(name)            offsetof(struct options, name)
#define LIST(list, many, most) FIELD(list), FIELD(many), OPTIONS_##most##_MAX

const struct option_spec option_specs[OPTION_SPECS] = {
	{"interface", 'i', OPTION_INTERFACES, LIST(interfaces, interface_count, INTERFACES),
		.argument = "NAME", .fixed = true, .help = "watch this interface; repeat for more",
		.initial =
			"each that is up,\nhas no master, and has an address or a default route"},
	{"netns", 0, OPTION_TEXTS, LIST(netns, netns_count, NETNS), .argument = "NAME",
		.fixed = true, .help = "other network namespaces too: all, a name or a pid; repeat",
		.more = "Containers and pods have network namespaces of their own, and their "
			"packets are seen only there. Those that match are found as they come and "
			"go. 'all' means each that a process is in or that has a name."},
	{"port", 0, OPTION_PORTS, LIST(ports, port_count, PORTS), .argument = "N",
		.help = "watch this port; repeat for more", .initial = "53", .min = 1,
		.max = 65535},
	{"read", 'r', OPTION_TEXT, FIELD(read), .argument = "FILE", .once = true, .fixed = true,
		.help = "packets from a pcap or pcapng file; no privilege needed"},
	{"role", 0, OPTION_CHOICE, FIELD(role), .choices = roles, .argument = "ROLE",
		.help = "auto, auth, client, resolver, forwarder, stub, tool",
		.more = "The side that dnstap's message type names. 'auto' tells it from each "
			"server's addresses and flags."},
	{"local", 0, OPTION_PREFIXES, LIST(local, local_count, LOCAL), .argument = "CIDR",
		.help = "count these addresses as this host's too; repeat for more"},
	{"promiscuous", 0, OPTION_FLAG, FIELD(promiscuous), .fixed = true,
		.help = "watch a mirror port, as if from the servers' side"},
	{"transit", 0, OPTION_FLAG, FIELD(transit),
		.help = "also emit messages between hosts that are not this one"},
	{"client-net", 0, OPTION_PREFIXES, LIST(clients, client_count, CLIENTS), .argument = "CIDR",
		.help = "only exchanges of these clients; repeat for more",
		.line = "only exchanges of these"},
	{"server-net", 0, OPTION_PREFIXES, LIST(servers, server_count, SERVERS), .joined = true,
		.argument = "CIDR", .help = "only exchanges with these servers; repeat for more"},
	{"type", 0, OPTION_TYPES, FIELD(types), .argument = "TYPE",
		.help = "only messages of this dnstap type, as AUTH_QUERY; repeat for more",
		.line = "only such messages; repeat"},
	{"name", 0, OPTION_NAMES, LIST(names, name_count, NAMES), .joined = true,
		.argument = "SUFFIX",
		.help = "only messages whose question is this name or below it; repeat for more"},
	{"rcode", 0, OPTION_RCODES, FIELD(rcodes), .joined = true, .argument = "RCODE",
		.help = "only responses with this code, a name or a number; repeat for more",
		.more = "Extended codes (BADVERS, BADCOOKIE) are known too. Queries, which have no "
			"code, are not held back."},
	{"sample", 0, OPTION_NUMBER, FIELD(sample), .min = 1, .max = UINT32_MAX, .argument = "N",
		.help = "one in N exchanges, query and response together"},
	{"anonymise", 0, OPTION_LENGTHS, FIELD(anonymise_v4), .argument = "V4,V6",
		.help = "keep so many bits of clients' addresses, as 24,48", .initial = "all",
		.more = "The others become 0; 0,0 keeps nothing of them. Left out, addresses stay "
			"as they are."},
	{"identity", 0, OPTION_UTF8, FIELD(identity), .argument = "TEXT",
		.help = "dnstap identity (empty: none)", .initial = "the host's name",
		.line = "of dnstap; empty: none"},
	{"version-string", 0, OPTION_UTF8, FIELD(version_string), .joined = true,
		.argument = "TEXT", .help = "dnstap version (empty: none)",
		.initial = "this program's"},
	{"extra", 0, OPTION_TEXT, FIELD(extra), .argument = "TEXT",
		.help = "dnstap extra: {interface} {vlan} {netns} {container}",
		.initial = "none"},
	{"with-query", 0, OPTION_FLAG, FIELD(with_query),
		.help = "with full: responses carry their query's bytes too"},
	{"query-zone", 0, OPTION_FLAG, FIELD(query_zone),
		.help = "give the zone where a message proves it"},
	{"format", 0, OPTION_CHOICE, FIELD(format), .choices = formats, .argument = "FORMAT",
		.help = "of the lines on standard output: text or json"},
	{"ledger", 0, OPTION_TEXT, FIELD(ledger), .argument = "FILE",
		.help = "write the ledger as JSON, at exit and on SIGUSR1"},
	{"metrics", 0, OPTION_ENDPOINT, FIELD(metrics), .argument = "ADDRESS:PORT", .fixed = true,
		.help = "serve Prometheus metrics there", .initial = "off",
		.more = "A port alone is one of 127.0.0.1; an IPv6 address stands in brackets. "
			"/metrics, /healthz and /readyz."},
	{"query-timeout", 0, OPTION_NUMBER, FIELD(query_timeout), .min = EXCHANGES_TIMEOUT_MIN,
		.max = EXCHANGES_TIMEOUT_MAX, .argument = "S", .fixed = true,
		.help = "seconds to wait for a response",
		.line = "seconds to wait for a response; queries waiting"},
	{"max-queries", 0, OPTION_NUMBER, FIELD(max_queries), .min = EXCHANGES_MAX_QUERIES_MIN,
		.max = EXCHANGES_MAX_QUERIES_MAX, .joined = true, .argument = "N", .fixed = true,
		.help = "queries waiting for a response"},
	{"max-streams", 0, OPTION_NUMBER, FIELD(max_streams), .min = STREAMS_MAX_MIN,
		.max = STREAMS_MAX_MAX, .argument = "N", .fixed = true,
		.help = "TCP connections followed at once",
		.line = "TCP connections followed; their memory"},
	{"stream-memory", 0, OPTION_SIZE, FIELD(stream_memory), .min = STREAMS_MEMORY_MIN,
		.max = STREAMS_MEMORY_MAX, .joined = true, .argument = "BYTES", .fixed = true,
		.help = "for what of TCP connections is not whole yet"},
	{"queue-size", 0, OPTION_SIZE, FIELD(queue_size), .min = SINK_QUEUE_MIN,
		.max = SINK_QUEUE_MAX, .argument = "BYTES", .help = "of each sink's queue"},
	{"spool", 0, OPTION_TEXT, FIELD(spool), .argument = "DIR", .initial = "off",
		.help = "messages wait there for a collector that is away",
		.line = "messages wait there for a collector that is away"},
	{"spool-size", 0, OPTION_SIZE, FIELD(spool_size), .min = SINK_SPOOL_MIN,
		.max = SINK_SPOOL_MAX, .joined = true, .argument = "BYTES",
		.help = "of each sink's spool; the oldest are given up"},
	{"tls-ca", 0, OPTION_TEXT, FIELD(tls.ca), .argument = "PATH",
		.help = "tls sinks: whom to trust, a file or folder", .initial = "the system's",
		.line = "of tls sinks: whom to trust; ours"},
	{"tls-cert", 0, OPTION_TEXT, FIELD(tls.cert), .joined = true, .argument = "FILE",
		.help = "tls sinks: our own certificate, PEM", .initial = "none"},
	{"tls-key", 0, OPTION_TEXT, FIELD(tls.key), .argument = "FILE",
		.help = "tls sinks: its key", .line = "our key; trust anybody",
		.initial = "in the same file"},
	{"tls-no-verify", 0, OPTION_FLAG, FIELD(tls.no_verify), .joined = true,
		.help = "tls sinks: take any certificate for good"},
	{"ring", 0, OPTION_CHOICE, FIELD(ring), .choices = rings, .argument = "KIND", .fixed = true,
		.help = "array, bpf or perf; auto: array, the cheapest",
		.line = "array, bpf, perf; size"},
	{"ring-size", 0, OPTION_SIZE, FIELD(ring_size), .min = RINGS_SIZE_MIN,
		.max = RINGS_SIZE_MAX, .power_of_two = true, .joined = true, .argument = "BYTES",
		.fixed = true, .help = "a power of two; bpf has one ring, the others one a CPU",
		.initial = "8M a CPU"},
	{"config", 0, OPTION_TEXT, FIELD(config), .argument = "FILE", .line_only = true,
		.once = true, .help = "read the options from this YAML file too",
		.line = "options in YAML; only say what is wrong there"},
	{"check-config", 0, OPTION_FLAG, FIELD(check_config), .line_only = true, .joined = true,
		.help = "only say what is wrong in that file"},
	{"user", 0, OPTION_TEXT, FIELD(user), .argument = "NAME", .fixed = true,
		.help = "run as this user", .initial = "dnstap-bpf, else nobody",
		.line = "as whom; on, log or off"},
	{"confine", 0, OPTION_CHOICE, FIELD(confine), .choices = confines, .joined = true,
		.argument = "MODE", .fixed = true, .help = "give up all privileges: on, log or off",
		.more = "'log' lets forbidden system calls pass and has the kernel log them; 'off' "
			"keeps the user, the capabilities and all system calls."},
	{"verbose", 0, OPTION_FLAG, FIELD(verbose), .line = "say more; print the version; this",
		.fixed = true, .help = "say more, the BPF verifier's log included"},
	{"version", 'V', OPTION_FLAG, FIELD(show_version), .line_only = true, .joined = true,
		.help = "print the version"},
	{"help", 'h', OPTION_FLAG, FIELD(show_help), .line_only = true, .joined = true,
		.help = "print this"},
};

const struct options option_defaults = {
	.ring = RINGS_AUTO,
	.role = ROLE_AUTO,
	.query_timeout = EXCHANGES_TIMEOUT_DEFAULT,
	.max_queries = EXCHANGES_MAX_QUERIES_DEFAULT,
	.max_streams = STREAMS_MAX_DEFAULT,
	.stream_memory = STREAMS_MEMORY_DEFAULT,
	.queue_size = SINK_QUEUE_DEFAULT,
	.spool_size = SINK_SPOOL_DEFAULT,
	.format = LINES_TEXT,
	.sample = 1,
	.confine = CONFINE_ON,
};

const struct option_spec *option_find(const char *name)
{
	for (size_t i = 0; i < OPTION_SPECS; i++)
		if (!strcmp(option_specs[i].name, name))
			return &option_specs[i];
	return NULL;
}

bool option_repeatable(const struct option_spec *s)
{
	return s->kind >= OPTION_INTERFACES;
}

static const char *choice_name(const struct option_choice *choices, int value)
{
	while (choices && choices->name && choices->value != value)
		choices++;
	return choices && choices->name ? choices->name : "";
}

/* With the largest unit that leaves nothing over. */
static void write_size(uint64_t bytes, char ret[static OPTIONS_INITIAL_MAX])
{
	static const char units[] = "\0KMG";
	size_t unit = 0;

	while (units[unit + 1] && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(ret, OPTIONS_INITIAL_MAX, "%" PRIu64 "%.1s", bytes, &units[unit]);
}

void option_initial(const struct option_spec *s, char ret[static OPTIONS_INITIAL_MAX])
{
	const char *field = (const char *)&option_defaults + s->offset;

	ret[0] = '\0';
	if (s->initial)
		snprintf(ret, OPTIONS_INITIAL_MAX, "%s", s->initial);
	else if (s->kind == OPTION_NUMBER)
		snprintf(ret, OPTIONS_INITIAL_MAX, "%" PRIu64, *(const uint64_t *)field);
	else if (s->kind == OPTION_SIZE)
		write_size(*(const uint64_t *)field, ret);
	else if (s->kind == OPTION_CHOICE)
		snprintf(ret, OPTIONS_INITIAL_MAX, "%s",
			choice_name(s->choices, *(const int *)field));
}

/* One of the words that it takes, from place 0; NULL behind the last. */
static const char *value_name(const struct option_spec *s, size_t place)
{
	uint64_t rcode;

	if (s->kind == OPTION_TYPES)
		return place < MESSAGE_UPDATE_RESPONSE
			       ? message_type_name((enum message_type)(place + 1))
			       : NULL;
	if (s->kind == OPTION_RCODES)
		return option_rcode(place, &rcode);
	return s->choices ? s->choices[place].name : NULL;
}

bool options_walk(size_t place, struct options_info *ret)
{
	const struct option_spec *s = place < OPTION_SPECS ? &option_specs[place] : NULL;

	if (!s)
		return false;
	*ret = (struct options_info){
		.name = s->name,
		.letter = s->letter,
		.argument = s->argument,
		.help = s->help,
		.more = s->more,
		.ranged = s->max,
		.sized = s->kind == OPTION_SIZE,
		.minimum = s->min,
		.maximum = s->max,
		.repeatable = option_repeatable(s),
		.in_file = !s->line_only,
		.fixed = s->fixed,
	};
	for (size_t i = 0; i + 1 < OPTIONS_CHOICES_MAX; i++)
		if (!(ret->choices[i] = value_name(s, i)))
			break;
	option_initial(s, ret->initial);
	for (char *newline = ret->initial; (newline = strchr(newline, '\n'));)
		*newline = ' ';
	return true;
}
