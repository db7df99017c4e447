/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "agent/options.h"
#include "agent/run.h"
#include "base/log.h"

int main(int argc, char **argv)
{
	static struct options options;
	char error[OPTIONS_ERROR_MAX];

	if (options_parse(argc, argv, &options, error)) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options.show_help) {
		options_usage(stdout);
		return EXIT_OK;
	}
	if (options.show_version) {
		puts(run_version());
		return EXIT_OK;
	}
	if (options.verbose)
		log_set_level(LOG_DEBUG);
	return options.read ? run_replay(&options) : run_live(&options);
}
