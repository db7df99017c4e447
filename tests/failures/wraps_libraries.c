/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, Frame Streams, TLS and capture files. */
#include <ares.h>
#include <fstrm.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <pcap/pcap.h>
#include <string.h>

#include "wraps.h"

WRAP(int, getaddrinfo, CALL, EAI_MEMORY, ENOMEM,
	(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret),
	host, port, hints, ret)
WRAP(int, ares_library_init, CALL, ARES_ENOMEM, 0, (int flags), flags)
WRAP(int, ares_init_options, CALL, ARES_ENOMEM, 0,
	(ares_channel * channel, struct ares_options *options, int mask), channel, options, mask)
WRAP(struct fstrm_rdwr *, fstrm_rdwr_init, CALL, NULL, 0, (void *arg), arg)
WRAP(struct fstrm_writer_options *, fstrm_writer_options_init, CALL, NULL, 0, (void))
WRAP(fstrm_res, fstrm_writer_options_add_content_type, CALL, fstrm_res_failure, 0,
	(struct fstrm_writer_options * options, const void *type, size_t len), options, type, len)
WRAP(fstrm_res, fstrm_writer_open, CALL, fstrm_res_failure, 0, (struct fstrm_writer * writer),
	writer)
WRAP(fstrm_res, fstrm_writer_write, CALL, fstrm_res_failure, 0,
	(struct fstrm_writer * writer, const void *bytes, size_t len), writer, bytes, len)
WRAP(fstrm_res, fstrm_writer_close, CALL, fstrm_res_failure, 0, (struct fstrm_writer * writer),
	writer)
WRAP(SSL_CTX *, SSL_CTX_new, CALL, NULL, 0, (const SSL_METHOD *method), method)
WRAP(int, SSL_CTX_set_default_verify_paths, CALL, 0, 0, (SSL_CTX * context), context)
WRAP(SSL *, SSL_new, CALL, NULL, 0, (SSL_CTX * context), context)
WRAP(int, SSL_set_fd, CALL, 0, 0, (SSL * ssl, int fd), ssl, fd)
WRAP(int, SSL_set1_host, CALL, 0, 0, (SSL * ssl, const char *host), ssl, host)

/* libfstrm takes the rdwr over, but for this. */
struct fstrm_writer *__real_fstrm_writer_init(
	const struct fstrm_writer_options *options, struct fstrm_rdwr **rdwr);
struct fstrm_writer *__wrap_fstrm_writer_init(
	const struct fstrm_writer_options *options, struct fstrm_rdwr **rdwr);
struct fstrm_writer *__wrap_fstrm_writer_init(
	const struct fstrm_writer_options *options, struct fstrm_rdwr **rdwr)
{
	return wraps_fails(CALL, "fstrm_writer_init") ? NULL
						      : __real_fstrm_writer_init(options, rdwr);
}

pcap_t *__real_pcap_fopen_offline_with_tstamp_precision(FILE *from, u_int precision, char *error);
pcap_t *__wrap_pcap_fopen_offline_with_tstamp_precision(FILE *from, u_int precision, char *error);
pcap_t *__wrap_pcap_fopen_offline_with_tstamp_precision(FILE *from, u_int precision, char *error)
{
	if (!wraps_fails(CALL, "pcap_fopen_offline_with_tstamp_precision"))
		return __real_pcap_fopen_offline_with_tstamp_precision(from, precision, error);
	strcpy(error, "out of memory");
	return NULL;
}

int __real_pcap_next_ex(pcap_t *pcap, struct pcap_pkthdr **header, const u_char **bytes);
int __wrap_pcap_next_ex(pcap_t *pcap, struct pcap_pkthdr **header, const u_char **bytes);
int __wrap_pcap_next_ex(pcap_t *pcap, struct pcap_pkthdr **header, const u_char **bytes)
{
	return wraps_fails(CALL, "pcap_next_ex") ? PCAP_ERROR
						 : __real_pcap_next_ex(pcap, header, bytes);
}
