/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/tls_settings.h"

#include <string.h>

struct tls_settings tls_settings_of(const struct sink_settings *s, const struct sink_tls *program)
{
	struct tls_settings ret = {
		.verify = s->tls_verify ? s->tls_verify == SINK_YES : !program->no_verify,
		.cert = sink_setting(s, s->tls_cert, program->cert),
		/* the program's key is not that of another certificate */
		.key = sink_setting(s, s->tls_key, s->tls_cert ? NULL : program->key),
	};

	if (ret.verify)
		ret.ca = sink_setting(s, s->tls_ca, program->ca);
	return ret;
}

/* Eight hexadecimal digits, a dot, and a number that may have an r in front. */
bool tls_name_is_hashed(const char *name)
{
	const char *number;

	if (strspn(name, "0123456789abcdef") != 8 || name[8] != '.')
		return false;
	number = name + 9 + (name[9] == 'r');
	return *number && !number[strspn(number, "0123456789")];
}
