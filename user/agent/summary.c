/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kinds.h"

/* One count: where it stands in its struct, and what it is. */
struct line {
	const char *name, *text;
	enum kind kind;
	size_t offset;
};

struct section {
	const char *name;
	const struct line *lines;
	size_t count;
};

static const struct line ledger_lines[] = {
#define LEDGER_LINE(name, kind, text) {#name, text, kind, offsetof(struct ledger, name)},
	LEDGER_LIST(LEDGER_LINE)
#undef LEDGER_LINE
};

static const struct line fragments_lines[] = {
#define FRAGMENTS_LINE(name, kind, text)                                                           \
	{#name, text, kind, offsetof(struct fragments_counts, name)},
	FRAGMENTS_LIST(FRAGMENTS_LINE)
#undef FRAGMENTS_LINE
};

static const struct line streams_lines[] = {
#define STREAMS_LINE(name, kind, text) {#name, text, kind, offsetof(struct streams_counts, name)},
	STREAMS_COUNTS_LIST(STREAMS_LINE)
#undef STREAMS_LINE
};

static const struct line sink_lines[] = {
#define SINK_LINE(name, kind, text) {#name, text, kind, offsetof(struct sink_counts, name)},
	SINK_COUNT_LIST(SINK_LINE)
#undef SINK_LINE
};

#define SECTION(name)                                                                              \
	{                                                                                          \
#name, name##_lines, sizeof(name##_lines) / sizeof(name##_lines[0])                \
	}

static const struct section ledger_section = SECTION(ledger);
static const struct section fragments_section = SECTION(fragments);
static const struct section streams_section = SECTION(streams);
static const struct section sink_section = SECTION(sink);

static uint64_t value_of(const void *counts, const struct line *line)
{
	return *(const uint64_t *)((const char *)counts + line->offset);
}

static uint64_t sum_of(const void *counts, const struct section *section, enum kind kind)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < section->count; i++)
		if (section->lines[i].kind == kind)
			sum += value_of(counts, &section->lines[i]);
	return sum;
}

static bool ledger_balanced(const struct ledger *l)
{
	const struct section *s = &ledger_section;

	return l->matched == l->recorded + sum_of(l, s, KERNEL_REASON) &&
	       l->recorded == sum_of(l, s, PACKET_OUT) + sum_of(l, s, PACKET_REASON) &&
	       l->datagrams + sum_of(l, s, MESSAGE_IN) ==
		       l->messages + sum_of(l, s, MESSAGE_REASON) &&
	       l->messages == l->frames + sum_of(l, s, FRAME_REASON);
}

static bool fragments_balanced(const struct ledger *l, const struct fragments_counts *f)
{
	return f->fragments == l->fragments && f->reassembled == l->reassembled &&
	       f->fragments == sum_of(f, &fragments_section, FRAGMENT_OUT) +
				       sum_of(f, &fragments_section, FRAGMENT_REASON);
}

static bool streams_balanced(const struct ledger *l, const struct streams_counts *s)
{
	return s->messages == l->stream_messages &&
	       s->bytes == s->message_bytes + 2 * s->messages +
				   sum_of(s, &streams_section, BYTES_REASON);
}

/* A frame that was too large was so in one form perhaps, and another sink has it. */
static bool sink_balanced(const struct summary_sink *s)
{
	const struct sink_counts *c = &s->counts;

	return c->offered >= s->frames && c->offered <= s->frames + s->oversize &&
	       c->offered + c->recovered == c->confirmed + c->unconfirmed + c->written + c->queued +
						    c->spooled + c->lost_queue_full +
						    c->lost_undelivered + c->given_up;
}

bool summary_balanced(const struct summary *r)
{
	bool balanced = ledger_balanced(r->ledger) && fragments_balanced(r->ledger, r->fragments) &&
			streams_balanced(r->ledger, r->streams);

	for (size_t i = 0; i < r->sink_count; i++)
		balanced &= sink_balanced(&r->sinks[i]);
	return balanced;
}

/* On a unidirectional connection nothing can be confirmed; there only its early end is a loss. */
static bool sink_lost(const struct summary_sink *s)
{
	const struct sink_counts *c = &s->counts;

	if (c->lost_queue_full || c->lost_undelivered || c->given_up)
		return true;
	if (!s->unidirectional)
		return c->unconfirmed;
	return c->ended_closed || c->ended_timeout || c->ended_protocol || c->ended_error;
}

bool summary_lost(const struct summary *r)
{
	bool lost = r->ledger->ring_full || r->ledger->frame_oversize;

	for (size_t i = 0; i < r->sink_count; i++)
		lost |= sink_lost(&r->sinks[i]);
	return lost;
}

/* The totals are always shown, anything else only when it happened. */
static void print_section(FILE *to, const void *counts, const struct section *section)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct line *line = &section->lines[i];
		uint64_t value = value_of(counts, line);

		if (value || line->kind == TOTAL)
			fprintf(to, "  %12" PRIu64 "  %-21s %s\n", value, line->name, line->text);
	}
}

static void print_sink(FILE *to, const struct summary_sink *s)
{
	fprintf(to, "sink %s%s%s:\n", s->text, s->full ? " full" : "",
		s->stopped ? " (taken out)" : "");
	print_section(to, &s->counts, &sink_section);
}

void summary_text(const struct summary *r, FILE *to)
{
	fprintf(to, "ledger:\n");
	print_section(to, r->ledger, &ledger_section);
	if (r->fragments->fragments) {
		fprintf(to, "fragments:\n");
		print_section(to, r->fragments, &fragments_section);
	}
	if (r->streams->bytes) {
		fprintf(to, "TCP streams:\n");
		print_section(to, r->streams, &streams_section);
	}
	for (size_t i = 0; i < r->sink_count; i++)
		print_sink(to, &r->sinks[i]);
	if (r->final)
		fprintf(to, "%s\n",
			summary_balanced(r)
				? "balanced: every packet is accounted for"
				: "NOT balanced: this is a fault of dnstap-bpf, please report it");
	fflush(to);
}

static void json_string(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(to, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void json_counts(FILE *to, const void *counts, const struct section *section)
{
	for (size_t i = 0; i < section->count; i++)
		fprintf(to, "%s\"%s\": %" PRIu64, i ? ", " : "", section->lines[i].name,
			value_of(counts, &section->lines[i]));
}

static void json_section(FILE *to, const void *counts, const struct section *section)
{
	fprintf(to, "\"%s\": {", section->name);
	json_counts(to, counts, section);
	fprintf(to, "},\n ");
}

static void json_sink(FILE *to, const struct summary_sink *s)
{
	fprintf(to, "{\"sink\": ");
	json_string(to, s->text);
	fprintf(to, ", \"full\": %s, \"stopped\": %s, \"frames\": %" PRIu64 ", ",
		s->full ? "true" : "false", s->stopped ? "true" : "false", s->frames);
	json_counts(to, &s->counts, &sink_section);
	fputc('}', to);
}

static void write_json(const struct summary *r, FILE *to)
{
	fputc('{', to);
	json_section(to, r->ledger, &ledger_section);
	json_section(to, r->fragments, &fragments_section);
	json_section(to, r->streams, &streams_section);
	fprintf(to, "\"sinks\": [");
	for (size_t i = 0; i < r->sink_count; i++) {
		fprintf(to, "%s", i ? ",\n  " : "");
		json_sink(to, &r->sinks[i]);
	}
	fprintf(to, "],\n \"final\": %s, \"balanced\": %s}\n", r->final ? "true" : "false",
		!r->final             ? "null"
		: summary_balanced(r) ? "true"
				      : "false");
}

/* What is at that path: 0 for nothing, else S_IFREG, S_IFDIR, ... */
static mode_t type_of(const struct sink_files *files, const char *path)
{
	struct stat status;

	return files->status(files->arg, path, &status) ? 0 : status.st_mode & S_IFMT;
}

/* What is there and no regular file (a pipe, /dev/stderr) is written to as it is. */
static bool is_special(mode_t type)
{
	return type && type != S_IFREG && type != S_IFDIR;
}

int summary_check_file(const struct sink_files *files, const char *path)
{
	char temporary[PATH_MAX];
	mode_t type = type_of(files, path);
	int fd;

	if (type == S_IFDIR)
		return -EISDIR;
	if (is_special(type))
		return files->writable(files->arg, path);
	fd = files_open_temporary(files, path, 0644, temporary, sizeof(temporary));
	if (fd < 0)
		return fd;
	close(fd);
	return files->unlink(files->arg, temporary);
}

/* Writes to a descriptor, which it closes. 0 or -errno. */
static int write_and_close(const struct summary *r, int fd)
{
	FILE *to = fdopen(fd, "w");
	bool failed;

	if (!to) {
		close(fd);
		return -ENOMEM;
	}
	errno = 0;
	write_json(r, to);
	failed = ferror(to);
	failed |= fclose(to) != 0;
	if (!failed)
		return 0;
	return errno ? -errno : -EIO;
}

int summary_json_file(const struct summary *r, const struct sink_files *files, const char *path)
{
	char temporary[PATH_MAX];
	bool special = is_special(type_of(files, path));
	int fd = special ? files->open(files->arg, path,
				   O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0)
			 : files_open_temporary(files, path, 0644, temporary, sizeof(temporary));
	int err;

	if (fd < 0)
		return fd;
	err = write_and_close(r, fd);
	if (special)
		return err;
	if (!err)
		err = files->rename(files->arg, temporary, path);
	if (err)
		files->unlink(files->arg, temporary);
	return err;
}
