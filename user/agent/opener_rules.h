/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the opener may do: exactly what sinks, spools, TLS, the ledger and the configuration file
 * of some options need, by path, verb and the way to open. In a file's name with '%' each
 * conversion of strftime(3) may be any characters but '/' and '.', and rotated files may have a
 * number behind. Pure: it looks at no file.
 */
#ifndef AGENT_OPENER_RULES_H
#define AGENT_OPENER_RULES_H

#include <stdbool.h>

#include "agent/opener_protocol.h"
#include "agent/options.h"

bool opener_rules_allow(const struct options *options, const struct opener_request *request);
/* The same for what one of their sinks needs. */
bool opener_rules_allow_sink(
	const struct options *options, size_t sink, const struct opener_request *request);

#endif
