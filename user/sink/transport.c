/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int transport_new(const struct sink_url *url, const struct sink_options *options,
	struct transport **ret, char *error, size_t error_size)
{
	char hint[300] = "";
	int rc = 0;

	*ret = NULL;
	switch (url->kind) {
	case SINK_UNIX:
		rc = unix_transport_new(url, options, ret);
		break;
	case SINK_TCP:
		rc = tcp_transport_new(url, options, ret);
		break;
	case SINK_TLS:
		rc = tls_transport_new(url, options, ret, hint, sizeof(hint));
		break;
	case SINK_FILE:
		rc = file_transport_new(url, options, ret, hint, sizeof(hint));
		break;
	case SINK_LINES:
		rc = stdout_transport_new(options, ret);
		break;
	}
	if (rc && *hint && url->kind == SINK_TLS)
		snprintf(error, error_size, "sink '%.200s': %s", url->text, hint);
	else if (rc)
		snprintf(error, error_size, "sink '%.200s': cannot write to %.200s: %s", url->text,
			url->kind == SINK_LINES ? "standard output" : url->target,
			*hint             ? hint
			: rc == -ENOTSOCK ? UNIX_NO_SOCKET
					  : strerror(-rc));
	else
		(*ret)->unidirectional = url->settings.unidirectional == SINK_YES;
	return rc;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	t->ops->close(t);
	t->ops->destroy(t);
}
