/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of one sink, which follow its name as ?key=value&key=value:
 *   queue=SIZE            bytes of its queue                                  every sink
 *   unidirectional=yes    no handshake and no FINISH, so nothing is confirmed  unix, tcp, tls
 *   spool=FOLDER           frames wait on disk while the collector is away            unix, tcp,
 * tls spool-size=SIZE        at most so many bytes of them                             unix, tcp,
 * tls tls-ca=PATH           whom to trust: a file or a folder of certificates    tls tls-cert=PATH
 * our own certificate, PEM                             tls tls-key=PATH          its key (default:
 * in the same file)                  tls tls-verify=no         the other end's certificate is not
 * looked at         tls rotate-size=SIZE       the file is finished, and the next begun, at so many
 * bytes     file rotate-interval=TIME   ... and at each multiple of so many seconds of wall time
 * file A time may end in s, m, h or d. A size may end in K, M or G. Values hold neither '&' nor
 * NUL. Pure.
 */
#ifndef SINK_SETTINGS_H
#define SINK_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SINK_TEXT_MAX = 4096,        /* PATH_MAX, with its NUL */
	SINK_QUEUE_MIN = 128 * 1024, /* bytes; one frame of 96 KiB always fits */
	SINK_QUEUE_DEFAULT = 16 * 1024 * 1024,
	SINK_QUEUE_MAX = 1024 * 1024 * 1024,
	SINK_ROTATE_SIZE_MIN = 64 * 1024,           /* bytes: a batch more may be written */
	SINK_ROTATE_INTERVAL_MAX = 366 * 24 * 3600, /* seconds */
};

#define SINK_SPOOL_MIN     (4ULL << 20) /* bytes */
#define SINK_SPOOL_DEFAULT (1ULL << 30)
#define SINK_SPOOL_MAX     (1ULL << 50)

enum sink_kind { SINK_UNIX, SINK_TCP, SINK_TLS, SINK_FILE, SINK_LINES };

/* What is not given is 0, and then holds what the whole program was told. */
enum sink_choice { SINK_NOT_SAID, SINK_NO, SINK_YES };

struct sink_settings {
	uint64_t queue_size;      /* bytes */
	uint64_t rotate_size;     /* bytes; 0: never */
	uint64_t rotate_interval; /* seconds; 0: never */
	uint64_t spool_size;      /* bytes */
	enum sink_choice unidirectional;
	enum sink_choice tls_verify;
	uint16_t spool; /* where in text; see sink_setting */
	uint16_t tls_ca, tls_cert, tls_key;
	char text[SINK_TEXT_MAX];
};

/* words: what stands behind the '?'. 0 or -EINVAL, then why holds what is wrong. */
int sink_settings_parse(const char *words, enum sink_kind kind, struct sink_settings *ret,
	char *why, size_t why_size);

/* The text of a setting such as s->tls_ca, or fallback (NULL is fine) when it was not given. */
const char *sink_setting(const struct sink_settings *s, uint16_t at, const char *fallback);

#endif
