/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files a tls sink reads: its own settings, and the whole program's for what they leave out.
 * Pure but for tls_settings_check, which reads them. Ownership: the paths are those of what it was
 * given.
 */
#ifndef SINK_TLS_SETTINGS_H
#define SINK_TLS_SETTINGS_H

#include <stdbool.h>

#include "sink/sink.h"

/* NULL: none; the key then stands in the certificate's file. */
struct tls_settings {
	bool verify;
	const char *ca; /* a file or a folder; NULL too when nothing is verified */
	const char *cert, *key;
};

enum tls_file { TLS_CA, TLS_CERT, TLS_KEY };

struct tls_settings tls_settings_of(
	const struct sink_settings *settings, const struct sink_tls *program);

/* Of the files in a folder of CAs those are read whose names openssl-rehash(1) makes. */
bool tls_name_is_hashed(const char *name);

/*
 * Reads them as a connection would (sink/tls_context.h), with the caller's rights: own: the
 * certificate and its key, else whom to trust. 0 or -errno, then why holds one line, and *ret_file
 * is the setting that is at fault.
 */
int tls_settings_check(const struct tls_settings *settings, bool own, enum tls_file *ret_file,
	char *why, size_t why_size);

#endif
