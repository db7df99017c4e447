/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes about all options what the table of options says of them: `describe TEMPLATE` copies
 * a template to standard output and puts in place of the lines
 *
 *   @OPTIONS@     the options of the command line, for a man page
 *   @KEYS@        the keys of the configuration file, for a man page
 *   @WORDS@       every option, for the shell
 *   @VALUES@      case branches of the shell: an option's values
 *
 * Built and run by make, so that man pages and completion cannot drift from the program.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/options.h"

/* Hyphens that are typed are no hyphens of the text, and a backslash must survive. */
static void put_literal(const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	}
}

/* One sentence a line, as roff wants it. */
static void put_text(const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		/* A line that begins so would be a request. */
		if (begins && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		begins = false;
		if (*text == '\\') {
			fputs("\\e", stdout);
		} else if (*text == '-' && text[1] == '-') {
			fputs("\\-", stdout);
		} else if (text[0] == '.' && text[1] == ' ') {
			puts(".");
			text++;
			begins = true;
		} else {
			putchar(*text == '\n' ? ' ' : *text);
		}
	}
}

static void put_sentence(const char *text)
{
	put_text(text);
	puts(text[strlen(text) - 1] == '.' ? "" : ".");
}

/* A phrase of the usage text becomes a sentence; what begins with a value stays as it is. */
static void put_help(const struct options_info *o)
{
	for (size_t i = 0; o->choices[i]; i++) {
		if (strncmp(o->help, o->choices[i], strlen(o->choices[i])))
			continue;
		put_sentence(o->help);
		return;
	}
	putchar(toupper((unsigned char)*o->help));
	put_sentence(o->help + 1);
}

static void put_size(const struct options_info *o, uint64_t value)
{
	static const char units[] = "\0KMG";
	int unit = 0;

	while (o->sized && value && value % 1024 == 0 && unit < 3) {
		value /= 1024;
		unit++;
	}
	printf("%" PRIu64 "%.1s", value, &units[unit]);
}

static void put_range(const struct options_info *o)
{
	fputs("From ", stdout);
	put_size(o, o->minimum);
	fputs(" to ", stdout);
	put_size(o, o->maximum);
	puts(o->sized ? "; K, M and G may follow, powers of 1024." : ".");
}

static void put_description(const struct options_info *o)
{
	put_help(o);
	if (o->more)
		put_sentence(o->more);
	if (o->ranged)
		put_range(o);
	if (*o->initial) {
		fputs("Default: ", stdout);
		put_text(o->initial);
		puts(".");
	}
}

static void put_option(const struct options_info *o)
{
	puts(".TP");
	if (o->letter)
		printf("\\fB\\-%c\\fR, ", o->letter);
	fputs("\\fB\\-\\-", stdout);
	put_literal(o->name);
	fputs("\\fR", stdout);
	if (o->argument)
		printf(" \\fI%s\\fR", o->argument);
	puts("");
	put_description(o);
}

static void put_key(const struct options_info *o)
{
	if (!o->in_file)
		return;
	fputs(".TP\n\\fB", stdout);
	put_literal(o->name);
	printf("\\fR: %s%s\n", o->argument ? "" : "yes | no", o->argument ? o->argument : "");
	put_description(o);
	if (o->repeatable)
		puts("One value, or a list.");
	if (o->fixed)
		puts("A reload does not change it.");
}

static void put_word(const struct options_info *o)
{
	printf("--%s\n", o->name);
	if (o->letter)
		printf("-%c\n", o->letter);
}

/* What a value is, as the template's functions are called. */
static const char *completed_by(const char *argument)
{
	if (!strcmp(argument, "FILE") || !strcmp(argument, "PATH"))
		return "_dnstap_bpf_files";
	if (!strcmp(argument, "DIR"))
		return "_dnstap_bpf_folders";
	return ":";
}

static void put_values(const struct options_info *o)
{
	if (!o->argument)
		return;
	printf("\t--%s", o->name);
	if (o->letter)
		printf(" | -%c", o->letter);
	fputs(") ", stdout);
	if (!strcmp(o->name, "interface") || !strcmp(o->name, "user") ||
		!strcmp(o->name, "netns")) {
		printf("_dnstap_bpf_%s", o->name);
	} else if (o->choices[0]) {
		fputs("_dnstap_bpf_choices", stdout);
		for (size_t i = 0; o->choices[i]; i++)
			printf(" %s", o->choices[i]);
	} else {
		fputs(completed_by(o->argument), stdout);
	}
	puts(" ;;");
}

static const struct {
	const char *line;
	void (*put)(const struct options_info *o);
} places[] = {
	{"@OPTIONS@\n", put_option},
	{"@KEYS@\n", put_key},
	{"@WORDS@\n", put_word},
	{"@VALUES@\n", put_values},
};

static void put_line(const char *line)
{
	struct options_info info;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(line, places[i].line))
			continue;
		for (size_t place = 0; options_walk(place, &info); place++)
			places[i].put(&info);
		return;
	}
	fputs(line, stdout);
}

int main(int argc, char **argv)
{
	FILE *template = argc == 2 ? fopen(argv[1], "r") : NULL;
	char line[1024];
	int failed;

	if (!template) {
		fprintf(stderr, "describe: %s: %s\n",
			argc == 2 ? argv[1] : "usage: describe TEMPLATE",
			argc == 2 ? strerror(errno) : "one file");
		return 1;
	}
	while (fgets(line, sizeof(line), template))
		put_line(line);
	failed = ferror(template) | ferror(stdout);
	fclose(template);
	return failed || fflush(stdout);
}
