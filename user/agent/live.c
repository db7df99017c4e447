/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live tap's loop. Under load the rings are drained on a timer, never by a wake-up for each
 * packet; when a drain finds nothing the doorbell is armed, the rings are looked at once more at
 * once and once more after one interval, and only then the loop blocks until the doorbell rings, a
 * signal comes or a query's time is up.
 */
#include "agent/run.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/early.h"
#include "agent/metrics.h"
#include "agent/reload.h"
#include "agent/service.h"
#include "agent/taps.h"
#include "agent/tell.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/loader.h"

enum {
	INTERVAL_MS = 5,       /* between drains at low rates ... */
	INTERVAL_BUSY_MS = 10, /* ... and when a drain brings BUSY_PACKETS or more */
	BUSY_PACKETS = 256,
	PATIENCE_MAX_MS = 60000, /* so that it fits poll's int */
	EVENTS_MAX = 16,
};

/* Records younger than this may still be overtaken by an older one of another CPU, ns. */
#define SETTLE_NS NS_PER_MS

enum tag { TAG_STOP, TAG_SIGNAL, TAG_FAILURE, TAG_DOORBELL, TAG_RING, TAG_TAPS, TAG_METRICS };

/* How far the loop is on its way from busy to blocked. */
enum rest { BUSY, ARMED, BLOCKED };

struct live {
	struct options *options;
	const struct options_source *source;
	struct run run;
	struct loader *loader;
	struct taps *taps;
	struct clock clock;
	struct service service;
	struct reload reload;
	struct metrics *metrics; /* NULL: nobody asked for them */
	bool metrics_due;        /* somebody is at its descriptor */
	struct tell tell;
	int epoll_fd;
	enum rest rest;
	size_t drained; /* packets of the last drain */
};

static void log_libbpf(int level, const char *line)
{
	(void)level;
	log_debug("libbpf: %s", line);
}

static int load(struct live *l)
{
	const struct options *o = l->options;
	struct early early;
	struct loader_options options = {
		.ring = (enum rings_kind)o->ring,
		.ring_size = o->ring_size,
		.ports = o->ports,
		.port_count = o->port_count,
		.clamp = early_clamp(o),
		.slots = o->netns_count ? TAPS_NETNS_MAX : 0,
	};
	char error[LOADER_ERROR_MAX];
	int err;

	loader_set_log(o->verbose ? log_libbpf : NULL);
	err = run_open_filter(&l->run, o);
	if (err)
		return err;
	options.filter = early_filter(&early, o, l->run.filter);
	err = loader_new(&options, &l->loader, error);
	if (err)
		log_error("%s", error);
	return err;
}

static int attach(struct live *l)
{
	const struct taps_source source = {
		.socket = opener_socket, .list = opener_netns_list, .arg = l->run.opener};

	return taps_new(l->options, l->loader, &source, &l->taps);
}

static int watch_fd(struct live *l, int fd, enum tag tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int watch_all(struct live *l)
{
	int err;

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	err = watch_fd(l, l->run.stop_fd, TAG_STOP);
	if (!err)
		err = watch_fd(l, l->run.signal_fd, TAG_SIGNAL);
	if (!err)
		err = watch_fd(l, l->run.failure_fd, TAG_FAILURE);
	if (!err)
		err = watch_fd(l, loader_doorbell_fd(l->loader), TAG_DOORBELL);
	if (!err)
		err = watch_fd(l, taps_fd(l->taps), TAG_TAPS);
	if (!err && l->metrics)
		err = watch_fd(l, metrics_fd(l->metrics), TAG_METRICS);
	if (!err)
		err = rings_watch(loader_rings(l->loader), l->epoll_fd, TAG_RING);
	return err;
}

/* A failure leaves the old sets: they were right a moment ago. */
static void read_local(struct live *l)
{
	int err = taps_local(l->taps, l->run.local, l->run.broadcast);

	if (!err)
		err = run_add_local(&l->run);
	if (err)
		log_warn("cannot read this host's addresses: %s", strerror(-err));
}

static void follow_taps(struct live *l)
{
	const struct extra_names names = taps_extra_names(l->taps);

	read_local(l);
	extra_set_names(l->run.extra, &names);
	extra_forget(l->run.extra);
	pipeline_expect_copies(
		l->run.pipeline, taps_copies_possible(l->taps), taps_loopback(l->taps));
}

/* Takes what is in the rings from before that moment, ns. */
static void drain_until(struct live *l, uint64_t now, uint64_t before)
{
	clock_follow(&l->clock, now);
	pipeline_set_wall(l->run.pipeline, l->clock.wall_minus_monotonic);
	l->drained = rings_drain(loader_rings(l->loader), before, pipeline_packet, l->run.pipeline);
	taps_drained(l->taps, before < now ? before : now);
	pipeline_tick(l->run.pipeline, before < now ? before : now);
	pipeline_flush(l->run.pipeline);
}

static void drain(struct live *l)
{
	uint64_t now = clock_monotonic();

	drain_until(l, now, now - SETTLE_NS);
	tell_more(&l->tell, now, !l->drained);
}

static bool has_work(const struct live *l)
{
	return l->drained || rings_waiting(loader_rings(l->loader));
}

static void go_on(struct live *l)
{
	if (l->rest != BUSY)
		loader_disarm(l->loader);
	l->rest = BUSY;
}

/* After a drain: what the loop may do next. */
static void settle(struct live *l)
{
	if (has_work(l)) {
		go_on(l);
	} else if (l->rest == BUSY) {
		loader_arm(l->loader);
		l->rest = ARMED;
		drain(l);
		if (has_work(l))
			go_on(l);
	} else {
		l->rest = BLOCKED;
	}
}

/* How long to wait, ms; -1: until something happens. */
static int patience(const struct live *l)
{
	uint64_t next = pipeline_next_tick(l->run.pipeline), now, left;

	if (l->rest != BLOCKED)
		return l->drained < BUSY_PACKETS ? INTERVAL_MS : INTERVAL_BUSY_MS;
	if (next != UINT64_MAX)
		next += SETTLE_NS;
	next = clock_earlier(next, tell_next(&l->tell));
	next = clock_earlier(next, metrics_next(l->metrics));
	next = clock_earlier(next, service_next_beat(&l->service));
	if (reload_due(&l->reload))
		next = clock_earlier(next, clock_monotonic() + RELOAD_STEP_MS * NS_PER_MS);
	if (next == UINT64_MAX)
		return -1;
	now = clock_monotonic();
	left = next > now ? (next - now) / NS_PER_MS + 1 : 1;
	return left < PATIENCE_MAX_MS ? (int)left : PATIENCE_MAX_MS;
}

static void fill_kernel_counts(struct live *l)
{
	struct ledger *ledger = pipeline_ledger(l->run.pipeline);
	struct loader_counts counts;

	loader_read_counts(l->loader, &counts);
	ledger->matched = counts.matched;
	ledger->ring_full = counts.ring_full;
	ledger->ring_broken = rings_broken(loader_rings(l->loader));
	ledger->fragments_refused = counts.fragments_refused;
	ledger->empty_segments = counts.empty_segments;
	ledger->filtered_kernel = counts.filtered;
}

static struct service_view view_of(struct live *l)
{
	fill_kernel_counts(l);
	return (struct service_view){
		.watched = taps_names(l->taps),
		.ring = tell_ring(l->loader),
		.sinks = l->run.sinks,
		.sink_count = l->run.sink_count,
		.ledger = pipeline_ledger(l->run.pipeline),
	};
}

static void tell_ready(struct live *l)
{
	struct service_view view = view_of(l);

	service_ready(&l->service, &view, clock_monotonic());
}

static void tell_service(struct live *l)
{
	uint64_t now = clock_monotonic();
	struct service_view view;

	service_beat(&l->service, now);
	if (!service_status_due(&l->service, now))
		return;
	view = view_of(l);
	service_status(&l->service, &view, now);
}

static void handle_signal(struct live *l)
{
	switch (run_take_signal(&l->run)) {
	case SIGHUP:
		service_reloading(&l->service, clock_monotonic());
		run_reopen(&l->run);
		reload_ask(&l->reload);
		if (!l->reload.asked)
			tell_ready(l);
		break;
	case SIGUSR1:
		fill_kernel_counts(l);
		run_report(&l->run, false);
		break;
	}
}

/* False when the loop is to end. */
static bool handle_events(struct live *l)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(l->epoll_fd, events, EVENTS_MAX, patience(l));

	for (int i = 0; i < count; i++) {
		switch ((enum tag)events[i].data.u64) {
		case TAG_STOP:
			return false;
		case TAG_SIGNAL:
			handle_signal(l);
			break;
		case TAG_FAILURE:
			if (run_sinks_gone(&l->run))
				return false;
			break;
		case TAG_DOORBELL:
			loader_doorbell_clear(l->loader);
			l->rest = BUSY;
			break;
		case TAG_TAPS:
			if (taps_follow(l->taps))
				follow_taps(l);
			break;
		case TAG_METRICS:
			l->metrics_due = true;
			break;
		case TAG_RING:
			break; /* the drain that follows empties it */
		}
	}
	return true;
}

/* For a reload: what was stamped before this moment, however young it is. */
static void drain_recorded(void *arg)
{
	static const struct timespec settled = {.tv_nsec = 2 * SETTLE_NS};

	nanosleep(&settled, NULL);
	drain(arg);
}

static void reload(struct live *l)
{
	bool asked = l->reload.asked;

	if (!reload_due(&l->reload))
		return;
	if (reload_step(&l->reload))
		follow_taps(l);
	if (asked && !l->reload.asked)
		tell_ready(l);
}

/* After a drain: they wait, not the packets. */
static void serve_metrics(struct live *l)
{
	uint64_t now;

	if (!l->metrics)
		return;
	now = clock_monotonic();
	if (l->metrics_due || metrics_next(l->metrics) <= now)
		metrics_run(l->metrics, now);
	l->metrics_due = false;
}

static void loop(struct live *l)
{
	while (handle_events(l)) {
		drain(l);
		settle(l);
		reload(l);
		tell_service(l);
		serve_metrics(l);
	}
}

/* Nothing enters the rings any more: what is in them still counts. */
static void drain_rest(struct live *l)
{
	loader_stop(l->loader);
	drain_until(l, clock_monotonic(), UINT64_MAX);
	fill_kernel_counts(l);
}

/* One descriptor an interface, and some for each sink. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Before a privilege is asked for that a wrong name would not need. */
static int check_names(const struct options *o)
{
	for (size_t i = 0; i < o->interface_count && !o->netns_count; i++) {
		if (if_nametoindex(o->interfaces[i]))
			continue;
		log_error("interface %s does not exist: `ip link` shows those that do; without "
			  "-i all that have an address are watched",
			o->interfaces[i]);
		return -ENODEV;
	}
	return 0;
}

static int open_live(struct live *l)
{
	int err = check_names(l->options);

	if (err)
		return err;
	raise_descriptor_limit();
	l->tell.others = !l->options->netns_count && netns_has_others();
	err = run_prepare(&l->run, l->options, l->source);
	if (!err)
		err = load(l);
	if (!err)
		err = attach(l);
	if (!err)
		err = metrics_new(l->options, &l->metrics);
	if (!err)
		err = run_confine(&l->run);
	if (!err)
		err = run_open(&l->run, l->options);
	if (err)
		return err;
	err = watch_all(l);
	if (err)
		log_error("cannot wait for packets: %s", strerror(-err));
	return err;
}

static void refresh(void *arg)
{
	fill_kernel_counts(arg);
}

static void begin_metrics(struct live *l)
{
	const struct metrics_view view = {
		.run = &l->run,
		.loader = l->loader,
		.taps = l->taps,
		.reload = &l->reload,
		.ring = tell_ring(l->loader),
		.refresh = refresh,
		.arg = l,
	};

	metrics_begin(l->metrics, &view);
}

static void say_hello(struct live *l)
{
	l->tell.options = l->options;
	l->tell.loader = l->loader;
	l->tell.taps = l->taps;
	tell_hello(&l->tell);
}

int run_live(struct options *options, const struct options_source *source)
{
	struct live l = {
		.options = options, .source = source, .run = RUN_INITIALISER, .epoll_fd = -1};
	int status = EXIT_RUNTIME;

	if (!open_live(&l)) {
		l.reload = (struct reload){.run = &l.run,
			.loader = l.loader,
			.options = options,
			.source = source,
			.drain = drain_recorded,
			.drain_arg = &l};
		follow_taps(&l);
		say_hello(&l);
		begin_metrics(&l);
		opener_begin_loop(l.run.opener);
		service_init(&l.service, clock_monotonic());
		tell_ready(&l);
		loop(&l);
		metrics_free(l.metrics);
		l.metrics = NULL;
		service_stopping(&l.service);
		opener_hurry(l.run.opener);
		drain_rest(&l);
		status = run_finish(&l.run, EXIT_OK);
	}
	if (l.epoll_fd >= 0)
		close(l.epoll_fd);
	metrics_free(l.metrics);
	taps_free(l.taps);
	loader_free(l.loader);
	run_close(&l.run);
	return status;
}
