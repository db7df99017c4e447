/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files a tls sink reads: its own settings, and the whole program's for what they leave out.
 * Pure. Ownership: the paths are those of what it was given.
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

struct tls_settings tls_settings_of(
	const struct sink_settings *settings, const struct sink_tls *program);

/* Of the files in a folder of CAs those are read whose names openssl-rehash(1) makes. */
bool tls_name_is_hashed(const char *name);

#endif
