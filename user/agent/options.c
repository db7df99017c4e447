/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "agent/options_table.h"

enum { LONG_ONLY = 256, SHORTS_SIZE = 2 * OPTION_SPECS + 6 };

static const struct option_place command_line = {.line = 1};

/*
 * getopt's two tables, made from ours. '-' gives us the words in their order between the options,
 * whatever POSIXLY_CORRECT says; ':' lets us write the errors ourselves.
 */
static void make_getopt_tables(struct option longs[OPTION_SPECS + 1], char shorts[SHORTS_SIZE])
{
	char *s = shorts;

	*s++ = '-';
	*s++ = ':';
	/* no option, but what is behind it can be told then: see take */
	*s++ = '?';
	*s++ = ':';
	*s++ = ':';
	for (int i = 0; i < OPTION_SPECS; i++) {
		longs[i] = (struct option){
			.name = option_specs[i].name,
			.has_arg = option_specs[i].argument ? required_argument : no_argument,
			.val = LONG_ONLY + i,
		};
		if (!option_specs[i].letter)
			continue;
		*s++ = option_specs[i].letter;
		if (option_specs[i].argument)
			*s++ = ':';
	}
	*s = '\0';
	longs[OPTION_SPECS] = (struct option){0};
}

static const struct option_spec *spec_of(int c)
{
	if (c >= LONG_ONLY && c < LONG_ONLY + OPTION_SPECS)
		return &option_specs[c - LONG_ONLY];
	for (int i = 0; i < OPTION_SPECS; i++)
		if (option_specs[i].letter && option_specs[i].letter == c)
			return &option_specs[i];
	return NULL;
}

/* What getopt_long returned: a word, an option, or one of its two complaints. */
static int take(struct option_parsing *p, int c, char **argv)
{
	const struct option_spec *spec = spec_of(c);
	char letter[] = {'-', (char)optopt, '\0'};
	/* A short option may stand in the middle of its word; a long one is its word. */
	const char *name = optopt > 0 && optopt < LONG_ONLY ? letter : argv[optind - 1];

	if (c == 1)
		return option_take_sink(p, optarg, command_line);
	/* the sink - with options of its own */
	if (c == '?' && optarg && optarg == argv[optind - 1] + 2)
		return option_take_sink(p, argv[optind - 1], command_line);
	if (c == ':')
		return option_fail(p, NULL, NULL, "%s wants a value (--help shows all)", name);
	if (!spec)
		return option_fail(
			p, NULL, NULL, "unknown or ambiguous option %s (--help shows all)", name);
	return option_set(p, spec, optarg, command_line);
}

static int take_all(struct option_parsing *p, int argc, char **argv)
{
	struct option longs[OPTION_SPECS + 1];
	char shorts[SHORTS_SIZE];
	int c, err = 0;

	make_getopt_tables(longs, shorts);
	opterr = optopt = 0;
	optind = 0; /* glibc: begin afresh */
	while (!err && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		err = take(p, c, argv);
	for (; !err && optind < argc; optind++)
		err = option_take_sink(p, argv[optind], command_line);
	return err;
}

/* The file is read before what wins over it; so its name is looked for first. */
static const char *find_config(int argc, char **argv)
{
	struct option longs[OPTION_SPECS + 1];
	char shorts[SHORTS_SIZE];
	const char *found = NULL;
	int c;

	make_getopt_tables(longs, shorts);
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_spec *spec = spec_of(c);

		if (spec && spec->offset == offsetof(struct options, config) && spec->argument)
			found = optarg;
	}
	return found;
}

int options_parse_all(const struct options_source *source, struct options *ret,
	options_fault_fn *found, void *arg)
{
	struct option_parsing p = {
		.options = ret, .source = source, .found = found, .found_arg = arg};
	const char *config = find_config(source->argc, source->argv);

	*ret = option_defaults;
	if (config && *config)
		option_read_file(&p, config);
	if (!take_all(&p, source->argc, source->argv) && !p.faults && !option_check_whole(&p) &&
		ret->check_config)
		option_check_host(&p);
	return p.faults ? -EINVAL : 0;
}

/* The first fault, and how many there are. */
struct first {
	char *error;
	size_t count;
};

static void keep_first(void *arg, const char *line)
{
	struct first *first = arg;

	if (!first->count++)
		snprintf(first->error, OPTIONS_ERROR_MAX, "%s", line);
}

int options_parse_from(const struct options_source *source, struct options *ret,
	char error[static OPTIONS_ERROR_MAX])
{
	struct first first = {.error = error};
	int err = options_parse_all(source, ret, keep_first, &first);
	size_t len = err ? strlen(error) : 0;

	if (first.count > 1)
		snprintf(error + len, OPTIONS_ERROR_MAX - len,
			" (and %zu more: --check-config shows all)", first.count - 1);
	return err;
}

int options_parse(int argc, char **argv, struct options *ret, char error[static OPTIONS_ERROR_MAX])
{
	const struct options_source source = {.argc = argc, .argv = argv};

	return options_parse_from(&source, ret, error);
}

/* What one option is called in the usage text: "-i, --interface NAME". */
static size_t write_name(const struct option_spec *s, char *ret, size_t size)
{
	char letter[] = {'-', s->letter, ',', ' ', '\0'};
	int len = snprintf(ret, size, "%s--%s%s%s", s->letter ? letter : "", s->name,
		s->argument ? " " : "", s->argument ? s->argument : "");

	return (size_t)len;
}

/* A newline in the text goes on below its beginning. */
static void print_text(FILE *to, const char *names, const char *text)
{
	enum { WIDTH = 40 };
	int len;

	for (; text; text = text[len] ? text + len + 1 : NULL) {
		len = (int)strcspn(text, "\n");
		fprintf(to, "%-*s %s%.*s\n", WIDTH, names, strlen(names) > WIDTH ? " " : "", len,
			text);
		names = "";
	}
}

/* The options of one line, the first of them at s; returns how many there are. */
static size_t print_line(FILE *to, const struct option_spec *s, size_t left)
{
	enum { TEXT = 256 };
	char names[TEXT] = "  ", text[TEXT], initial[OPTIONS_INITIAL_MAX];
	size_t count = 0, named = 2;
	int used = snprintf(text, sizeof(text), "%s", s->line ? s->line : s->help), bare = used;

	do {
		if (count)
			named += (size_t)snprintf(names + named, sizeof(names) - named, ", ");
		named += write_name(&s[count], names + named, sizeof(names) - named);
		option_initial(&s[count], initial);
		if (*initial)
			used += snprintf(text + used, sizeof(text) - (size_t)used, "%s%s",
				used == bare ? " (" : "; ", initial);
	} while (++count < left && s[count].joined);
	if (used > bare)
		snprintf(text + used, sizeof(text) - (size_t)used, ")");
	print_text(to, names, text);
	return count;
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
	for (size_t i = 0; i < OPTION_SPECS;)
		i += print_line(to, &option_specs[i], OPTION_SPECS - i);
}
