/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of all options and how one value is set from its text: what options.c (the command
 * line), options_file.c (YAML) and options_check.c (what must fit together) share. Nothing else
 * includes it. A value's text is checked here only, so that a key of the file and an option of the
 * command line cannot mean two things.
 */
#ifndef AGENT_OPTIONS_TABLE_H
#define AGENT_OPTIONS_TABLE_H

#include "agent/options.h"

enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_UTF8, /* text that a frame carries */
	OPTION_NUMBER,
	OPTION_SIZE,
	OPTION_CHOICE,
	OPTION_ENDPOINT, /* ADDRESS:PORT or PORT */
	OPTION_LENGTHS,  /* the two prefix lengths of --anonymise */
	/* What may be repeated; the first four are lists of capacity, their length at count. */
	OPTION_INTERFACES,
	OPTION_PORTS,
	OPTION_PREFIXES,
	OPTION_TEXTS,
	OPTION_NAMES,
	OPTION_TYPES,
	OPTION_RCODES,
};

struct option_choice {
	const char *name; /* NULL behind the last */
	int value;
};

struct option_spec {
	const char *name;
	char letter; /* 0: long only */
	enum option_kind kind;
	size_t offset, count; /* in struct options */
	size_t capacity;      /* of a list */
	uint64_t min, max;    /* NUMBER, SIZE */
	const struct option_choice *choices;
	const char *argument; /* NULL: none */
	const char *help;     /* a phrase, without the default */
	const char *line;     /* in the usage text, where the next ones stand on its line too */
	const char *more;     /* for the manual */
	const char *initial;  /* where the default is no value of this table */
	bool joined;          /* stands on the line of the one before */
	bool power_of_two;    /* SIZE */
	bool once;            /* twice on the command line is an error */
	bool line_only;       /* not a key of the file */
	bool fixed;           /* a reload does not change it */
};

enum { OPTION_SPECS = 43 };

extern const struct option_spec option_specs[OPTION_SPECS];
extern const struct options option_defaults;

/* Where something was said: on the command line (file is NULL, line 1) or in a file; 0: nowhere. */
struct option_place {
	const char *file;
	unsigned line;
};

/* One parse: what is filled in, and where each part of it was said. */
struct option_parsing {
	struct options *options;
	struct option_place places[OPTION_SPECS];
	struct option_place sinks[OPTIONS_SINKS_MAX];
	const struct options_source *source;
	options_fault_fn *found; /* one call a fault */
	void *found_arg;
	size_t faults;
};

/* The response code's name at that place, from 0, and its number; NULL behind the last. */
const char *option_rcode(size_t place, uint64_t *ret);

/* NULL: there is none of that name. */
const struct option_spec *option_find(const char *name);
bool option_repeatable(const struct option_spec *spec);

/* Tells one fault: "--name ...", or "FILE:LINE: name: ..." for what a file said. -EINVAL. */
int option_fail(struct option_parsing *p, const struct option_place *place, const char *name,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for an option, at the place where it was said last. */
int option_fail_at(struct option_parsing *p, const struct option_spec *spec, const char *format,
	...) __attribute__((format(printf, 3, 4)));

/*
 * Sets one value; text must last as long as the options; NULL: a flag without a value. What a file
 * said before is replaced by the command line. 0 or -EINVAL after option_fail.
 */
int option_set(struct option_parsing *p, const struct option_spec *spec, const char *text,
	struct option_place place);

/* Takes SINK or `full`. 0 or -EINVAL after option_fail. */
int option_take_sink(struct option_parsing *p, const char *word, struct option_place place);

/* What one option's default is, as text; "": none. */
void option_initial(const struct option_spec *spec, char ret[static OPTIONS_INITIAL_MAX]);

/* For --check-config: the files, folders and the user that are named must be there. */
void option_check_host(struct option_parsing *p);

/* A copy that options_free frees; NULL without memory. */
const char *option_keep_text(struct options *options, const char *text);

/* Reads the file that --config names. 0 or -EINVAL after option_fail, once a fault. */
int option_read_file(struct option_parsing *p, const char *path);

/* What must fit together; fills in what is said nowhere. 0 or -EINVAL after option_fail. */
int option_check_whole(struct option_parsing *p);

#endif
