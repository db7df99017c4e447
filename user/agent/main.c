/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/options.h"
#include "agent/run.h"
#include "base/log.h"

static void log_fault(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

/* Every fault has a line of its own; without one, what was asked is answered. */
static int check_config(const struct options_source *source, struct options *options)
{
	if (options_parse_all(source, options, log_fault, NULL))
		return EXIT_USAGE;
	printf("%s: no fault found\n", options->config);
	return EXIT_OK;
}

static int run(const struct options_source *source, struct options *options)
{
	char error[OPTIONS_ERROR_MAX];
	int err = options_parse_from(source, options, error);

	if (options->check_config && !options->show_help && !options->show_version) {
		options_free(options);
		return check_config(source, options);
	}
	if (err) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options->show_help) {
		options_usage(stdout);
		return EXIT_OK;
	}
	if (options->show_version) {
		puts(run_version());
		return EXIT_OK;
	}
	if (options->verbose)
		log_set_level(LOG_DEBUG);
	return options->read ? run_replay(options, source) : run_live(options, source);
}

/*
 * A standard descriptor that is closed would be the next socket's or file's number, and lines meant
 * for the one would go into the other. In its place stands one that cannot be used: reading fails,
 * and so does what the sink - writes; only the log may be unwanted.
 */
static void fill_standard_descriptors(void)
{
	static const int modes[] = {
		[STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_WRONLY};

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) < 0)
			return;
}

int main(int argc, char **argv)
{
	static struct options options;
	const struct options_source source = {.argc = argc, .argv = argv};
	int status;

	fill_standard_descriptors();
	log_find_journal();
	status = run(&source, &options);

	options_free(&options);
	return status;
}
