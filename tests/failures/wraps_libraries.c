/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, Frame Streams, TLS and capture files. */
#include <ares.h>
#include <fstrm.h>
#include <netdb.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pcap/pcap.h>
#include <string.h>

#include "wraps.h"

typedef STACK_OF(X509_INFO) X509_INFOS;

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
WRAP(BIO *, BIO_new_fp, CALL, NULL, 0, (FILE * file, int close), file, close)
WRAP(X509_INFOS *, PEM_X509_INFO_read_bio, CALL, NULL, 0,
	(BIO * bio, X509_INFOS *all, pem_password_cb *password, void *arg), bio, all, password, arg)
WRAP(X509 *, PEM_read_bio_X509_AUX, CALL, NULL, 0,
	(BIO * bio, X509 **ret, pem_password_cb *password, void *arg), bio, ret, password, arg)
WRAP(EVP_PKEY *, PEM_read_bio_PrivateKey, CALL, NULL, 0,
	(BIO * bio, EVP_PKEY **ret, pem_password_cb *password, void *arg), bio, ret, password, arg)
WRAP(int, X509_STORE_add_cert, CALL, 0, 0, (X509_STORE * store, X509 *one), store, one)
WRAP(int, SSL_CTX_use_certificate, CALL, 0, 0, (SSL_CTX * context, X509 *one), context, one)
WRAP(int, SSL_CTX_use_PrivateKey, CALL, 0, 0, (SSL_CTX * context, EVP_PKEY *key), context, key)
WRAP(int, SSL_CTX_check_private_key, CALL, 0, 0, (const SSL_CTX *context), context)
WRAP(int, X509_VERIFY_PARAM_set1_ip_asc, CALL, 0, 0,
	(X509_VERIFY_PARAM * parameters, const char *ip), parameters, ip)
WRAP(long, SSL_CTX_ctrl, CALL, 0, 0, (SSL_CTX * context, int what, long number, void *arg), context,
	what, number, arg)
WRAP(long, SSL_ctrl, CALL, 0, 0, (SSL * ssl, int what, long number, void *arg), ssl, what, number,
	arg)
WRAP(int, SSL_read_ex, CALL, 0, ECONNRESET, (SSL * ssl, void *bytes, size_t len, size_t *ret), ssl,
	bytes, len, ret)
WRAP(int, SSL_connect, CALL, -1, ECONNRESET, (SSL * ssl), ssl)
WRAP(int, SSL_peek_ex, CALL, 0, ECONNRESET, (SSL * ssl, void *bytes, size_t len, size_t *ret), ssl,
	bytes, len, ret)
WRAP(int, SSL_write_ex, CALL, 0, ECONNRESET,
	(SSL * ssl, const void *bytes, size_t len, size_t *ret), ssl, bytes, len, ret)

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
