/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/summary.h"
#include "base/log.h"
#include "capture/replay.h"

#ifndef VERSION
#error "the Makefile defines VERSION"
#endif

/* Packets of a replay between two looks at the signals and sinks. */
enum { REPLAY_BATCH = 4096 };

const char *run_version(void)
{
	return "dnstap-bpf " VERSION;
}

/* The signal comes through a descriptor; threads started later inherit the mask. */
static int open_signal(int first, int second)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, first);
	sigaddset(&set, second);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/*
 * Without its opener a tap cannot connect again nor begin a file: it is better started anew. Not
 * by SIGCHLD: as the first process of a container one hears of the end of strangers too.
 */
static int open_stop(struct run *run)
{
	struct epoll_event signal = {.events = EPOLLIN}, end = {.events = 0};

	run->stop_signal_fd = open_signal(SIGINT, SIGTERM);
	run->stop_fd = epoll_create1(EPOLL_CLOEXEC);
	if (run->stop_signal_fd < 0 || run->stop_fd < 0 ||
		epoll_ctl(run->stop_fd, EPOLL_CTL_ADD, run->stop_signal_fd, &signal) ||
		epoll_ctl(run->stop_fd, EPOLL_CTL_ADD, opener_fd(run->opener), &end))
		return -errno;
	return 0;
}

static int open_signals(struct run *run)
{
	int err = open_stop(run);

	if (err)
		return err;
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = open_signal(SIGUSR1, SIGHUP);
	run->failure_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return run->signal_fd < 0 || run->failure_fd < 0 ? -errno : 0;
}

static const char *identity_of(struct run *run, const struct options *o)
{
	if (o->identity)
		return o->identity;
	if (gethostname(run->identity, sizeof(run->identity) - 1))
		return "";
	return run->identity;
}

struct pipeline_options run_pipeline_options(struct run *run, const struct options *o)
{
	return (struct pipeline_options){
		.options = o,
		.identity = identity_of(run, o),
		.version = o->version_string ? o->version_string : run_version(),
		.sinks = run->sinks,
		.sink_count = run->sink_count,
		.local = run->local,
		.broadcast = run->broadcast,
		.own = &run->own,
		.extra = run->extra,
		.filter = run->filter,
	};
}

static int open_pipeline(struct run *run)
{
	const struct pipeline_options options = run_pipeline_options(run, run->options);

	run->pipeline = pipeline_new(&options);
	if (run->pipeline)
		return 0;
	log_error("cannot start: out of memory");
	return -ENOMEM;
}

static int open_extra(struct run *run)
{
	char error[EXTRA_ERROR_MAX];
	int err;

	if (!run->options->extra)
		return 0;
	err = extra_new(run->options->extra, &run->extra, error);
	if (err)
		log_error("%s", error);
	return err;
}

int run_open_filter(struct run *run, const struct options *options)
{
	char error[FILTER_ERROR_MAX];
	int err;

	if (run->filter)
		return 0;
	err = filter_new(options, &run->filter, error);
	if (err)
		log_error("%s", error);
	return err;
}

static int check_ledger(const struct run *run)
{
	const char *path = run->options->ledger;
	int err = path ? summary_check_file(run_files(run), path) : 0;

	if (err)
		log_error("cannot write the ledger to %s: %s", path, strerror(-err));
	return err;
}

int run_add_local(struct run *run)
{
	int err = 0;

	for (size_t i = 0; i < run->options->local_count && !err; i++) {
		const struct options_prefix *p = &run->options->local[i];

		err = prefixes_add(run->local, p->family, p->address, p->len);
	}
	return err;
}

int run_prepare(struct run *run, const struct options *options, const struct options_source *source)
{
	int err = confine_prepare(options, &run->confine);

	return err ? err : opener_start(options, source, &run->opener);
}

int run_confine(struct run *run)
{
	return confine_worker(&run->confine);
}

const struct sink_files *run_files(const struct run *run)
{
	return run->confine.mode == CONFINE_OFF ? &files_plain : opener_files(run->opener);
}

int run_open(struct run *run, const struct options *options)
{
	int err;

	run->options = options;
	run->local = prefixes_new();
	run->broadcast = prefixes_new();
	err = run->local && run->broadcast ? open_signals(run) : -ENOMEM;
	if (err) {
		log_error("cannot start: %s", strerror(-err));
		return err;
	}
	err = run_add_local(run);
	if (!err)
		err = check_ledger(run);
	if (!err)
		err = run_open_filter(run, options);
	if (!err)
		err = open_extra(run);
	if (!err)
		err = outlets_open(run);
	return err ? err : open_pipeline(run);
}

void run_close(struct run *run)
{
	pipeline_free(run->pipeline);
	extra_free(run->extra);
	filter_free(run->filter);
	outlets_free(run);
	prefixes_free(run->local);
	prefixes_free(run->broadcast);
	if (run->stop_fd >= 0)
		close(run->stop_fd);
	if (run->stop_signal_fd >= 0)
		close(run->stop_signal_fd);
	if (run->signal_fd >= 0)
		close(run->signal_fd);
	if (run->failure_fd >= 0)
		close(run->failure_fd);
	opener_stop(run->opener);
}

/* Not read, so that whoever waits beside it sees it too. */
bool run_stopped(const struct run *run)
{
	struct pollfd fd = {.fd = run->stop_fd, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

int run_take_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

void run_reopen(struct run *run)
{
	for (size_t i = 0; i < run->sink_count; i++)
		sink_reopen(run->sinks[i]);
}

bool run_sinks_gone(const struct run *run)
{
	uint64_t count;

	if (read(run->failure_fd, &count, sizeof(count)) < 0)
		return false;
	for (size_t i = 0; i < run->sink_count; i++)
		if (!sink_failed(run->sinks[i]))
			return false;
	return true;
}

/* rows: room for the result to point to. */
static struct summary summary_of(
	struct run *run, bool final, struct summary_sink rows[static OUTLETS_ROWS_MAX])
{
	return (struct summary){
		.ledger = pipeline_ledger(run->pipeline),
		.fragments = intake_fragments(pipeline_intake(run->pipeline)),
		.streams = intake_streams(pipeline_intake(run->pipeline)),
		.sinks = rows,
		.sink_count = outlets_rows(run, rows),
		.final = final,
	};
}

int run_report(struct run *run, bool final)
{
	struct summary_sink rows[OUTLETS_ROWS_MAX];
	struct summary summary = summary_of(run, final, rows);
	int err;

	summary_text(&summary, stderr);
	if (!run->options->ledger)
		return 0;
	err = summary_json_file(&summary, run_files(run), run->options->ledger);
	if (err)
		log_error(
			"cannot write the ledger to %s: %s", run->options->ledger, strerror(-err));
	return err;
}

int run_finish(struct run *run, int status)
{
	struct summary_sink rows[OUTLETS_ROWS_MAX];
	const bool orphaned = opener_ended(run->opener);
	struct summary summary;
	int err;

	pipeline_drain(run->pipeline);
	outlets_stop(run);
	summary = summary_of(run, true, rows);
	err = run_report(run, true);
	if (err || orphaned || outlets_broken(run) ||
		(run->options->read && summary_lost(&summary)))
		return EXIT_RUNTIME;
	return status;
}

/* A pipe may have nothing for long: what was read goes out meanwhile. False: stop waiting. */
static bool await_packet(struct run *run, struct replay *replay)
{
	struct pollfd fds[2] = {
		{.fd = replay_pipe_fd(replay), .events = POLLIN},
		{.fd = run->stop_fd, .events = POLLIN},
	};

	if (fds[0].fd < 0 || poll(fds, 2, 0) > 0)
		return !fds[1].revents;
	pipeline_flush(run->pipeline);
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return !fds[1].revents;
}

/* Reads up to REPLAY_BATCH packets: 1 to go on, 0 at the end, or -errno. */
static int replay_batch(struct run *run, struct replay *replay)
{
	char error[REPLAY_ERROR_MAX];
	struct captured packet;

	for (int i = 0; i < REPLAY_BATCH; i++) {
		int got = await_packet(run, replay) ? replay_next(replay, &packet, error) : 0;

		if (got < 0)
			log_error("%s", error);
		if (got <= 0)
			return got;
		pipeline_packet(run->pipeline, &packet);
	}
	return 1;
}

static void handle_signal(struct run *run)
{
	int signal = run_take_signal(run);

	if (signal == SIGHUP)
		run_reopen(run);
	else if (signal == SIGUSR1)
		run_report(run, false);
}

static int replay_all(struct run *run, struct replay *replay)
{
	int got;

	while ((got = replay_batch(run, replay)) > 0) {
		pipeline_flush(run->pipeline);
		handle_signal(run);
		if (run_stopped(run) || run_sinks_gone(run))
			return EXIT_OK;
	}
	return got < 0 ? EXIT_RUNTIME : EXIT_OK;
}

static void say_nothing_matched(struct run *run)
{
	const struct options *o = run->options;

	if (!pipeline_ledger(run->pipeline)->matched)
		log_info("no packet in %s is on port %u%s: is DNS on another one there (--port), "
			 "encrypted, or inside a tunnel?",
			o->read, o->ports[0], o->port_count > 1 ? " or the others given" : "");
}

/* The file is opened with the rights of the start, and looked at without them. */
static int open_replay(struct run *run, const struct options *options,
	const struct options_source *source, struct replay **ret)
{
	char error[REPLAY_ERROR_MAX];
	int err = run_prepare(run, options, source);

	if (err)
		return err;
	err = replay_open(options->read, ret, error);
	if (err) {
		log_error("%s", error);
		return err;
	}
	err = run_confine(run);
	if (err)
		return err;
	err = replay_begin(*ret, error);
	if (err)
		log_error("%s", error);
	return err;
}

int run_replay(const struct options *options, const struct options_source *source)
{
	struct run run = RUN_INITIALISER;
	struct replay *replay = NULL;
	int status = EXIT_RUNTIME;
	bool read_all;

	if (!open_replay(&run, options, source, &replay) && !run_open(&run, options)) {
		pipeline_expect_copies(run.pipeline, replay_copies_possible(replay), 0);
		status = replay_all(&run, replay);
		read_all = !status;
		status = run_finish(&run, status);
		if (read_all)
			say_nothing_matched(&run);
	}
	replay_close(replay);
	run_close(&run);
	return status;
}
