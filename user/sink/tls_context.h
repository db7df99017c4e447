/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom a tls sink trusts and who it is itself: certificates and key from files in PEM format, read
 * through sink/files.h. They are read again for the next connection when one of the files has
 * changed; if the new ones cannot be used the old ones stay.
 *
 * Without a path for CA certificates the system's are trusted. Of a folder all files are read that
 * are named as openssl-rehash(1) does. Ownership: copies the paths. Threads: one at a time.
 */
#ifndef SINK_TLS_CONTEXT_H
#define SINK_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "sink/sink.h"

struct tls_context;

/* 0 or -errno, then hint may hold why. */
int tls_context_new(const struct sink_url *url, const struct sink_options *options,
	struct tls_context **ret, char *hint, size_t hint_size);
void tls_context_free(struct tls_context *context);

/* For a new connection; valid until the next call. *ret_stale: a file's change was of no use. */
SSL_CTX *tls_context_get(struct tls_context *context, bool *ret_stale);
bool tls_context_verifies(const struct tls_context *context);

#endif
