/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/figures.h"
#include "agent/http.h"
#include "base/clock.h"
#include "base/log.h"

/* A peak is told for this long, and until it is asked for, ns. */
#define PEAK_NS    (60 * NS_PER_SECOND)
#define NS_PER_US  UINT64_C(1000)
#define EXPOSITION "text/plain; version=0.0.4; charset=utf-8"

/* A line for each sink that is not ready, and one for the interfaces. */
enum { REASONS_SIZE = (OPTIONS_SINKS_MAX + 1) * (FIGURES_LABEL_MAX + 64) };

struct metrics {
	struct metrics_view view;
	struct http *http;
	uint64_t now;         /* of the metrics_run under way */
	uint64_t started;     /* wall ns */
	int memory_fd;        /* our /proc/self/statm; -1: not there */
	uint64_t peak_before; /* bytes in one ring, of the minute before */
	uint64_t peak_from;   /* monotonic ns */
	uint64_t written;     /* monotonic ns when the bytes were; 0: not yet */
	size_t len;
	char reasons[REASONS_SIZE];
	struct figures_sink sinks[OUTLETS_ROWS_MAX];
	char bytes[METRICS_SIZE];
};

static uint64_t resident(const struct metrics *m)
{
	char text[128], *at;
	ssize_t got = m->memory_fd < 0 ? -1 : pread(m->memory_fd, text, sizeof(text) - 1, 0);

	if (got <= 0)
		return 0;
	text[got] = '\0';
	at = strchr(text, ' '); /* size, then resident: pages */
	return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t ns_of(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * NS_PER_SECOND + (uint64_t)t->tv_usec * NS_PER_US;
}

static struct figures_process process_of(const struct metrics *m)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_SELF, &usage);
	return (struct figures_process){
		.start = m->started,
		.cpu = ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime),
		.memory = resident(m),
	};
}

static struct rings_level ring_level(struct metrics *m)
{
	bool restart = m->now - m->peak_from >= PEAK_NS;
	struct rings_level level;
	uint64_t peak;

	rings_read_level(loader_rings(m->view.loader), restart, &level);
	peak = level.peak;
	if (m->peak_before > level.peak)
		level.peak = m->peak_before;
	if (restart) {
		m->peak_before = peak;
		m->peak_from = m->now;
	}
	return level;
}

/* A sink that was taken out and came back by the same name goes on counting. */
static struct figures_sink *sink_named(struct metrics *m, size_t count, const char *label)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(m->sinks[i].label, label))
			return &m->sinks[i];
	return NULL;
}

static size_t gather_sinks(struct metrics *m)
{
	struct run *run = m->view.run;
	struct summary_sink rows[OUTLETS_ROWS_MAX];
	size_t row_count = outlets_rows(run, rows), count = 0;

	for (size_t i = 0; i < row_count; i++) {
		char label[FIGURES_LABEL_MAX];
		struct figures_sink *sink;

		figures_label(rows[i].text, label);
		sink = sink_named(m, count, label);
		if (!sink) {
			sink = &m->sinks[count++];
			*sink = (struct figures_sink){.running = i < run->sink_count};
			memcpy(sink->label, label, sizeof(label));
			if (sink->running) {
				sink->connected = sink_connected(run->sinks[i]);
				sink_read_levels(run->sinks[i], &sink->levels);
			}
		}
		sink_counts_add(&sink->counts, &rows[i].counts);
	}
	return count;
}

static void gather(struct metrics *m, struct figures *ret)
{
	const struct metrics_view *v = &m->view;
	const struct pipeline *pipeline = v->run->pipeline;
	const char *version = strchr(run_version(), ' ');

	v->refresh(v->arg);
	*ret = (struct figures){
		.version = version ? version + 1 : "",
		.ring = v->ring,
		.options = v->run->options,
		.ledger = pipeline_ledger(v->run->pipeline),
		.fragments = intake_fragments(pipeline_intake(pipeline)),
		.streams = intake_streams(pipeline_intake(pipeline)),
		.statistics = pipeline_statistics(pipeline),
		.ring_level = ring_level(m),
		.reloads = v->reload->done,
		.reloads_failed = v->reload->failed,
		.process = process_of(m),
		.sinks = m->sinks,
		.sink_count = gather_sinks(m),
	};
	for (unsigned i = 0; i < STATISTICS_ROLES; i++)
		ret->unanswered[i] = pipeline_unanswered(pipeline, (enum role)(2 * i + 1));
	pipeline_read_levels(pipeline, &ret->levels);
	taps_read_levels(v->taps, &ret->taps);
}

/* The lines that say what is not ready; 0: all is. */
static size_t write_reasons(struct metrics *m)
{
	const struct run *run = m->view.run;
	struct taps_levels taps;
	size_t len = 0;

	taps_read_levels(m->view.taps, &taps);
	if (!taps.interfaces)
		len += (size_t)snprintf(m->reasons, REASONS_SIZE, "no interface is watched\n");
	for (size_t i = 0; i < run->sink_count; i++) {
		char label[FIGURES_LABEL_MAX];

		if (sink_connected(run->sinks[i]))
			continue;
		figures_label(sink_url(run->sinks[i])->text, label);
		len += (size_t)snprintf(m->reasons + len, REASONS_SIZE - len, "sink %s: %s\n",
			label, sink_failed(run->sinks[i]) ? "failed" : "not connected");
	}
	return len;
}

static struct http_reply reply_of(unsigned status, const char *text)
{
	return (struct http_reply){status, "text/plain; charset=utf-8", text, strlen(text)};
}

static struct http_reply get_metrics(struct metrics *m)
{
	struct exposition e;
	struct figures figures;

	if (!m->written || m->now - m->written >= METRICS_PAUSE_MS * NS_PER_MS) {
		gather(m, &figures);
		exposition_begin(&e, m->bytes, sizeof(m->bytes));
		figures_write(&figures, &e);
		m->len = exposition_whole(&e) ? e.len : 0;
		m->written = m->now;
	}
	if (!m->len)
		return reply_of(500, "the exposition does not fit into its buffer\n");
	return (struct http_reply){200, EXPOSITION, m->bytes, m->len};
}

static struct http_reply get_ready(struct metrics *m)
{
	return write_reasons(m) ? reply_of(503, m->reasons) : reply_of(200, "ready\n");
}

static void on_get(void *arg, const char *path, struct http_reply *ret)
{
	struct metrics *m = arg;

	if (!strcmp(path, "/metrics"))
		*ret = get_metrics(m);
	else if (!strcmp(path, "/readyz"))
		*ret = get_ready(m);
	else if (!strcmp(path, "/healthz"))
		*ret = reply_of(200, "ok\n");
}

int metrics_new(const struct options *options, struct metrics **ret)
{
	char error[HTTP_ERROR_MAX] = "out of memory";
	struct metrics *m;
	int err;

	*ret = NULL;
	if (!options->metrics)
		return 0;
	m = calloc(1, sizeof(*m));
	err = m ? 0 : -ENOMEM;
	if (!err) {
		m->memory_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
		m->started = clock_wall();
		err = http_new(options->metrics, on_get, m, &m->http, error);
	}
	if (err) {
		log_error("%s", error);
		metrics_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	http_free(m->http);
	if (m->memory_fd >= 0)
		close(m->memory_fd);
	free(m);
}

void metrics_begin(struct metrics *m, const struct metrics_view *view)
{
	if (!m)
		return;
	m->view = *view;
	m->peak_from = clock_monotonic();
	log_info("metrics: http://%s%s/metrics",
		strchr(view->run->options->metrics, ':') ? "" : "127.0.0.1:",
		view->run->options->metrics);
}

int metrics_fd(const struct metrics *m)
{
	return m ? http_fd(m->http) : -1;
}

void metrics_run(struct metrics *m, uint64_t now)
{
	if (!m)
		return;
	m->now = now;
	http_run(m->http, now);
}

uint64_t metrics_next(const struct metrics *m)
{
	return m ? http_next(m->http) : UINT64_MAX;
}
