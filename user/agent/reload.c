/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/early.h"
#include "agent/opener.h"
#include "base/log.h"

void reload_ask(struct reload *r)
{
	r->asked = r->source && r->options->config;
}

bool reload_due(const struct reload *r)
{
	return r->asked || r->run->outlets.ending_count;
}

static int open_through(void *arg, const char *path)
{
	const struct sink_files *files = run_files(arg);

	return files->open(files->arg, path, O_RDONLY | O_CLOEXEC, 0);
}

static void tell_fixed(void *arg, const char *name)
{
	(void)arg;
	log_warn("takes effect at the next start: %s", name);
}

static int parse(struct reload *r, struct options *next, uint32_t *ret_reading,
	char error[static OPTIONS_ERROR_MAX])
{
	const struct options_source source = {
		.argc = r->source->argc,
		.argv = r->source->argv,
		.open = open_through,
		.arg = r->run,
	};
	int err = options_parse_from(&source, next, error);

	if (err)
		return err;
	if (options_keep_fixed(next, r->options, tell_fixed, NULL)) {
		snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	/* It reads the file for itself: what it opens is not for this process to say. */
	err = r->run->opener ? opener_reload(r->run->opener, ret_reading) : 0;
	if (err)
		snprintf(error, OPTIONS_ERROR_MAX,
			"the file changed while it was read, or cannot be read again: %s",
			files_why(err));
	return err;
}

static int check_ledger(
	const struct reload *r, const char *path, char error[static OPTIONS_ERROR_MAX])
{
	int err = path ? summary_check_file(run_files(r->run), path) : 0;

	if (err)
		snprintf(error, OPTIONS_ERROR_MAX, "cannot write the ledger to %s: %s", path,
			strerror(-err));
	return err;
}

/* Encoders, filters and the rest; afterwards nothing can fail. */
static int exchange(struct reload *r, struct options *next, struct outlets_plan *plan,
	char error[static OPTIONS_ERROR_MAX])
{
	struct run *run = r->run;
	struct pipeline_options pipeline;
	struct extra *extra = NULL;
	int err = next->extra ? extra_new(next->extra, &extra, error) : 0;

	if (err)
		return err;
	pipeline = run_pipeline_options(run, next);
	pipeline.sinks = plan->sinks;
	pipeline.sink_count = plan->count;
	pipeline.extra = extra;
	err = pipeline_replace(run->pipeline, &pipeline, error);
	if (err) {
		extra_free(extra);
		return err;
	}
	early_replace(r->loader, r->options, next);
	extra_free(run->extra);
	run->extra = extra;
	return 0;
}

/* `full` is only what is offered, so a sink that stays may change it. */
static void set_full(const struct outlets_plan *plan, const struct options *o)
{
	for (size_t i = 0; i < plan->count; i++)
		sink_set_full(plan->sinks[i], o->sinks[i].full);
}

static void restore_full(const struct outlets_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		sink_set_full(plan->sinks[i], plan->was_full[i]);
}

/* next gets what is to be freed of the options before. */
static int replace(struct reload *r, struct options *next, uint32_t reading,
	char error[static OPTIONS_ERROR_MAX])
{
	const struct outlets_change change = {
		.next = next, .reading = reading, .between = r->drain, .arg = r->drain_arg};
	struct options_text *text = r->options->text;
	struct outlets_plan plan;
	int err = check_ledger(r, next->ledger, error);

	if (err)
		return err;
	/* What came before is judged, cut and sent as it was asked for then. */
	early_unclamp(r->loader, next);
	r->drain(r->drain_arg);
	err = outlets_plan(r->run, &change, &plan, error);
	if (err)
		return err;
	set_full(&plan, next);
	err = exchange(r, next, &plan, error);
	if (err) {
		restore_full(&plan);
		outlets_forget(&plan);
		return err;
	}
	*r->options = *next;
	next->text = text;
	outlets_commit(r->run, &plan);
	r->keeps_before = r->run->opener;
	return 0;
}

/* What the opener has read is decided about, whatever becomes of it. */
static int reload(struct reload *r, struct options *next, char error[static OPTIONS_ERROR_MAX])
{
	uint32_t reading = 0;
	int err = parse(r, next, &reading, error);

	if (err)
		return err;
	err = replace(r, next, reading, error);
	if (err && r->run->opener)
		opener_abort(r->run->opener);
	return err;
}

/* Once nothing of it is ending. */
static void forget_before(struct reload *r)
{
	if (r->keeps_before)
		opener_forget(r->run->opener);
	r->keeps_before = false;
}

bool reload_step(struct reload *r)
{
	struct options *next;
	char error[OPTIONS_ERROR_MAX] = "out of memory";
	int err;

	if (!outlets_reap(r->run))
		return false;
	forget_before(r);
	if (!r->asked)
		return false;
	r->asked = false;
	next = calloc(1, sizeof(*next));
	err = next ? reload(r, next, error) : -ENOMEM;
	if (err)
		log_error("nothing is changed: %s", error);
	if (next)
		options_free(next);
	free(next);
	r->done += !err;
	r->failed += err != 0;
	if (outlets_reap(r->run))
		forget_before(r);
	return !err;
}
