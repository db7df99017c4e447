/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/outlets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/run.h"
#include "base/log.h"
#include "sink/tls_settings.h"

enum { STAMP_MAX = 80 };

static struct sink_options sink_options_of(struct run *run, const struct options *o)
{
	return (struct sink_options){
		.queue_size = o->queue_size,
		.tls = o->tls,
		.spool = o->spool,
		.spool_size = o->spool_size,
		.wait_for_room = o->read,
		.own_socket = own_add,
		.own_socket_arg = &run->own,
		.files = run_files(run),
		.failure_fd = run->failure_fd,
		.interrupt_fd = run->stop_fd,
	};
}

static bool is_socket(const struct sink_url *url)
{
	return url->kind == SINK_UNIX || url->kind == SINK_TCP || url->kind == SINK_TLS;
}

/* Tells one content of a file from the next: certificates are renewed in place. */
static void write_stamp(
	const struct sink_files *files, const char *path, char ret[static STAMP_MAX])
{
	struct stat status;

	ret[0] = '\0';
	if (path && !files->status(files->arg, path, &status))
		snprintf(ret, STAMP_MAX, "%ju %jd.%09ld %jd", (uintmax_t)status.st_ino,
			(intmax_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
			(intmax_t)status.st_size);
}

static char *tls_settings_text(struct run *run, const struct options *o, const struct sink_url *url)
{
	const struct tls_settings s = tls_settings_of(&url->settings, &o->tls);
	char stamps[3][STAMP_MAX], *text;

	if (url->kind != SINK_TLS)
		return strdup("");
	write_stamp(run_files(run), s.ca, stamps[0]);
	write_stamp(run_files(run), s.cert, stamps[1]);
	write_stamp(run_files(run), s.key, stamps[2]);
	if (asprintf(&text, "%d\n%s %s\n%s %s\n%s %s", s.verify, s.ca ? s.ca : "", stamps[0],
		    s.cert ? s.cert : "", stamps[1], s.key ? s.key : "", stamps[2]) < 0)
		return NULL;
	return text;
}

/* NULL without memory. */
static char *settings_of(struct run *run, const struct options *o, const struct sink_url *url)
{
	const struct sink_settings *s = &url->settings;
	const char *spool = is_socket(url) ? sink_setting(s, s->spool, o->spool) : NULL;
	uint64_t spool_size = s->spool_size ? s->spool_size : o->spool_size;
	char *tls = tls_settings_text(run, o, url), *text = NULL;

	if (!tls || asprintf(&text, "%s\n%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n%s",
			    spool ? spool : "", s->queue_size ? s->queue_size : o->queue_size,
			    s->rotate_size, s->rotate_interval, spool ? spool_size : 0,
			    s->unidirectional == SINK_YES, tls) < 0)
		text = NULL;
	free(tls);
	return text;
}

static int open_one(struct run *run, const struct options *o, const struct sink_url *url,
	const char *settings, struct sink **ret, char error[static OPTIONS_ERROR_MAX])
{
	const struct sink_options options = sink_options_of(run, o);

	if (settings)
		return sink_new(url, &options, ret, error, OPTIONS_ERROR_MAX);
	snprintf(error, OPTIONS_ERROR_MAX, "sink '%.200s': out of memory", url->text);
	return -ENOMEM;
}

int outlets_open(struct run *run)
{
	const struct options *o = run->options;
	char error[OPTIONS_ERROR_MAX];

	for (size_t i = 0; i < o->sink_count; i++) {
		struct outlet *known = &run->outlets.known[i];
		int err;

		known->place.sink = (uint32_t)i;
		known->settings = settings_of(run, o, &o->sinks[i]);
		err = open_one(run, o, &o->sinks[i], known->settings, &run->sinks[i], error);
		if (err) {
			log_error("%s", error);
			return err;
		}
		run->sink_count++;
	}
	return 0;
}

void outlets_stop(struct run *run)
{
	struct outlets *t = &run->outlets;

	for (size_t i = 0; i < run->sink_count; i++)
		sink_stop_begin(run->sinks[i]);
	for (size_t i = 0; i < run->sink_count; i++)
		sink_stop(run->sinks[i]);
	for (size_t i = 0; i < t->ending_count; i++)
		sink_stop(t->ending[i]);
	outlets_reap(run);
}

void outlets_free(struct run *run)
{
	struct outlets *t = &run->outlets;

	for (size_t i = 0; i < run->sink_count; i++)
		sink_free(run->sinks[i]);
	for (size_t i = 0; i < t->ending_count; i++) {
		sink_free(t->ending[i]);
		free(t->ending_known[i].settings);
	}
	for (size_t i = 0; i < OPTIONS_SINKS_MAX; i++)
		free(t->known[i].settings);
	run->sink_count = t->ending_count = 0;
}

static void read_row(const struct sink *sink, struct summary_sink *ret)
{
	const struct sink_url *url = sink_url(sink);

	*ret = (struct summary_sink){
		.text = url->text,
		.full = url->full,
		.unidirectional = url->settings.unidirectional == SINK_YES,
	};
	sink_read_counts(sink, &ret->counts);
}

size_t outlets_rows(struct run *run, struct summary_sink ret[static OUTLETS_ROWS_MAX])
{
	const struct ledger *ledger = pipeline_ledger(run->pipeline);
	struct outlets *t = &run->outlets;
	size_t count = 0;

	for (size_t i = 0; i < run->sink_count; i++, count++) {
		read_row(run->sinks[i], &ret[count]);
		ret[count].frames = ledger->frames - t->known[i].frames;
		ret[count].oversize = ledger->frame_oversize - t->known[i].oversize;
	}
	for (size_t i = 0; i < t->ending_count; i++, count++) {
		read_row(t->ending[i], &ret[count]);
		ret[count].stopped = true;
		ret[count].frames = t->ending_known[i].frames;
		ret[count].oversize = t->ending_known[i].oversize;
	}
	for (size_t i = 0; i < t->ended_count; i++)
		ret[count++] = t->ended[i].row;
	return count;
}

/* Its place among the running, or -1. */
static int find_place(const struct run *run, const struct sink_url *url)
{
	for (size_t i = 0; i < run->sink_count; i++)
		if (sink_url_same_place(sink_url(run->sinks[i]), url))
			return (int)i;
	return -1;
}

/*
 * Whether two sinks may work at one place for the time of the change. A file would be begun anew,
 * over what is in it, and of a spool there is only one.
 */
static bool may_replace(const struct sink_url *url, const char *was, const char *now)
{
	size_t len = strcspn(was, "\n");

	if (!is_socket(url))
		return false;
	return !len || len != strcspn(now, "\n") || strncmp(was, now, len);
}

/* The running sink at that place stays; with its older settings where others cannot be had. */
static bool plan_to_stay(
	struct run *run, const struct sink_url *url, struct outlets_plan *plan, size_t at)
{
	const struct outlet *was = &run->outlets.known[at];
	size_t n = plan->count;
	struct outlet *known = &plan->known[n], now = *known;
	bool same = !strcmp(was->settings, now.settings);

	if (!same && may_replace(url, was->settings, now.settings))
		return false;
	if (!same)
		log_warn("takes effect at the next start: sinks: %s", url->text);
	free(now.settings);
	*known = *was;
	if (same)
		known->place = now.place;
	plan->stays[n] = true;
	plan->sinks[n] = run->sinks[at];
	plan->was_full[n] = sink_url(run->sinks[at])->full;
	plan->count++;
	return true;
}

static int plan_one(struct run *run, const struct outlets_change *change, size_t place,
	struct outlets_plan *plan, char error[static OPTIONS_ERROR_MAX])
{
	const struct options *next = change->next;
	const struct sink_url *url = &next->sinks[place];
	size_t n = plan->count;
	struct outlet *known = &plan->known[n];
	int at = find_place(run, url), err;

	known->place = (struct opener_place){.reading = change->reading, .sink = (uint32_t)place};
	known->settings = settings_of(run, next, url);
	if (at >= 0 && known->settings && plan_to_stay(run, url, plan, (size_t)at))
		return 0;
	err = open_one(run, next, url, known->settings, &plan->sinks[n], error);
	if (err)
		free(known->settings);
	else
		plan->count++;
	return err;
}

int outlets_plan(struct run *run, const struct outlets_change *change, struct outlets_plan *ret,
	char error[static OPTIONS_ERROR_MAX])
{
	int err = 0;

	*ret = (struct outlets_plan){.count = 0};
	ret->reading = change->reading;
	for (size_t i = 0; i < change->next->sink_count && !err; i++) {
		if (i)
			change->between(change->arg);
		err = plan_one(run, change, i, ret, error);
	}
	if (err)
		outlets_forget(ret);
	return err;
}

void outlets_forget(struct outlets_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->stays[i])
			continue;
		sink_free(plan->sinks[i]);
		free(plan->known[i].settings);
	}
	plan->count = 0;
}

static bool is_planned(const struct outlets_plan *plan, const struct sink *sink)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->sinks[i] == sink)
			return true;
	return false;
}

/* The opener keeps of older options what the sinks that stay were opened with. */
static void tell_opener(struct run *run, const struct outlets_plan *plan)
{
	struct opener_place kept[OPTIONS_SINKS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < plan->count; i++)
		if (plan->known[i].place.reading != plan->reading)
			kept[count++] = plan->known[i].place;
	if (run->opener)
		opener_commit(run->opener, kept, count);
}

void outlets_commit(struct run *run, struct outlets_plan *plan)
{
	const struct ledger *ledger = pipeline_ledger(run->pipeline);
	struct outlets *t = &run->outlets;
	size_t stay = 0, end = 0;

	for (size_t i = 0; i < run->sink_count; i++) {
		struct outlet known = t->known[i];

		if (is_planned(plan, run->sinks[i]))
			continue;
		sink_stop_begin(run->sinks[i]);
		known.frames = ledger->frames - known.frames;
		known.oversize = ledger->frame_oversize - known.oversize;
		t->ending_known[t->ending_count] = known;
		t->ending[t->ending_count++] = run->sinks[i];
		end++;
	}
	memset(t->known, 0, sizeof(t->known));
	for (size_t i = 0; i < plan->count; i++) {
		run->sinks[i] = plan->sinks[i];
		t->known[i] = plan->known[i];
		stay += plan->stays[i];
		if (plan->stays[i])
			continue;
		t->known[i].frames = ledger->frames;
		t->known[i].oversize = ledger->frame_oversize;
	}
	run->sink_count = plan->count;
	tell_opener(run, plan);
	log_info("reloaded %s: sinks: %zu stay, %zu opened, %zu being ended", run->options->config,
		stay, plan->count - stay, end);
}

/* The row of the same name, a new one, or the last, which then is that of several. */
static struct outlets_ended *row_for(struct outlets *t, const struct summary_sink *row)
{
	struct outlets_ended *e = t->ended;
	char text[OUTLETS_TEXT_MAX];

	snprintf(text, sizeof(text), "%s", row->text);
	for (size_t i = 0; i < t->ended_count; i++)
		if (!strcmp(e[i].text, text) && e[i].row.full == row->full)
			return &e[i];
	if (t->ended_count == OUTLETS_ENDED_MAX) {
		e = &t->ended[OUTLETS_ENDED_MAX - 1];
		snprintf(e->text, sizeof(e->text), "(several)");
		return e;
	}
	e = &t->ended[t->ended_count++];
	*e = (struct outlets_ended){.row = {.full = row->full, .stopped = true}};
	e->row.unidirectional = row->unidirectional;
	memcpy(e->text, text, sizeof(e->text));
	e->row.text = e->text;
	return e;
}

static void keep_counts(struct outlets *t, const struct sink *sink, const struct outlet *known)
{
	struct summary_sink row;
	struct outlets_ended *kept;

	read_row(sink, &row);
	kept = row_for(t, &row);
	sink_counts_add(&kept->row.counts, &row.counts);
	kept->row.frames += known->frames;
	kept->row.oversize += known->oversize;
}

/* Said now: the exit status, which says it too, may be months away. */
static void look_whether_broken(struct outlets *t, const struct sink *sink)
{
	if (!sink_broken(sink))
		return;
	t->broken = true;
	log_error("sink %s, which was taken out, lacks messages: the exit status will be 1",
		sink_url(sink)->text);
}

bool outlets_broken(const struct run *run)
{
	bool broken = run->outlets.broken;

	for (size_t i = 0; i < run->sink_count; i++)
		broken |= sink_broken(run->sinks[i]);
	return broken;
}

bool outlets_reap(struct run *run)
{
	struct outlets *t = &run->outlets;
	size_t left = 0;

	for (size_t i = 0; i < t->ending_count; i++) {
		if (!sink_ended(t->ending[i])) {
			t->ending[left] = t->ending[i];
			t->ending_known[left++] = t->ending_known[i];
			continue;
		}
		sink_stop(t->ending[i]);
		look_whether_broken(t, t->ending[i]);
		keep_counts(t, t->ending[i], &t->ending_known[i]);
		sink_free(t->ending[i]);
		free(t->ending_known[i].settings);
	}
	t->ending_count = left;
	return !left;
}
