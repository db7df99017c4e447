/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text exposition format of Prometheus, version 0.0.4: families, each with HELP, TYPE and
 * samples, into one buffer of fixed size. A name is written once by exposition_family; the samples
 * that follow are its own. Label values may hold any bytes: what the format wants escaped is
 * escaped, and where a value is not UTF-8, which makes Prometheus refuse all of it, its other bytes
 * become '?'.
 *
 * What does not fit is left out, and exposition_whole tells. Pure; the buffer is the caller's. One
 * thread.
 */
#ifndef AGENT_EXPOSITION_H
#define AGENT_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

enum { EXPOSITION_NAME_MAX = 96, EXPOSITION_LABELS_MAX = 4 };

struct exposition {
	char *at;
	size_t len, size; /* bytes written, bytes there */
	bool cut;         /* something did not fit */
	char name[EXPOSITION_NAME_MAX];
};

struct exposition_label {
	const char *name, *value;
};

/* Up to EXPOSITION_LABELS_MAX; what follows the last has no name. */
struct exposition_labels {
	struct exposition_label at[EXPOSITION_LABELS_MAX];
};

/* The labels given as name, value, name, value, ... */
#define EXPOSITION_LABELS(...) (&(const struct exposition_labels){{__VA_ARGS__}})

void exposition_begin(struct exposition *e, char *bytes, size_t size);
bool exposition_whole(const struct exposition *e);

/* Name and help are one line each. */
void exposition_family(
	struct exposition *e, enum exposition_type type, const char *name, const char *help);
/* labels: NULL for none. */
void exposition_number(
	struct exposition *e, const struct exposition_labels *labels, uint64_t value);
/* A time that is kept in ns, as seconds. */
void exposition_seconds(struct exposition *e, const struct exposition_labels *labels, uint64_t ns);

/* Counts of what was at most bounds[i] (ns) and more than the bound before; one more than bounds.
 */
struct exposition_histogram {
	const uint64_t *bounds, *counts;
	size_t bound_count;
	uint64_t sum; /* ns */
};

/* _bucket, _sum and _count, in seconds. One label of its own is added: at most 3 may be given. */
void exposition_histogram(struct exposition *e, const struct exposition_labels *labels,
	const struct exposition_histogram *histogram);

#endif
