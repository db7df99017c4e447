/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport to a collector over TLS 1.2 or later, by OpenSSL on a socket that never blocks. The
 * chain and the name (or address) of the other end are verified unless tls-verify=no says
 * otherwise. A partial record is no byte taken: the other end can read none of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/socket.h"
#include "sink/tcp.h"
#include "sink/transport.h"

struct tls_transport {
	struct tcp_transport tcp;
	SSL_CTX *context;
	SSL *ssl;  /* NULL: not open */
	bool over; /* nothing more may be said on ssl */
};

static struct tls_transport *of(struct transport *t)
{
	return (struct tls_transport *)t;
}

static const char *why_not_trusted(long verified)
{
	switch (verified) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return "its certificate is for another name";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "its certificate has expired";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "its certificate is not valid yet";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return "its certificate is not from a CA that is trusted here (see tls-ca)";
	default:
		return X509_verify_cert_error_string(verified);
	}
}

/* For the person who runs the tap, or NULL. */
static const char *why_failed(const SSL *ssl, unsigned long error)
{
	switch (ERR_GET_REASON(error)) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return why_not_trusted(SSL_get_verify_result(ssl));
	case SSL_R_WRONG_VERSION_NUMBER:
		return "it does not speak TLS";
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return "it does not speak TLS 1.2 or later";
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		return "it refuses the handshake; perhaps it wants a certificate from us "
		       "(see tls-cert)";
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return "it wants a certificate from us (see tls-cert)";
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return "it does not trust our certificate";
	default:
		return ERR_reason_error_string(error);
	}
}

/* What a call that returned rc (not a success) means; errno is still its own. */
static int result(struct transport *t, int rc)
{
	struct tls_transport *tls = of(t);
	int kind = SSL_get_error(tls->ssl, rc), system = errno;
	unsigned long error;

	switch (kind) {
	case SSL_ERROR_WANT_READ:
		t->wants = POLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		t->wants = POLLOUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	case SSL_ERROR_SYSCALL:
		tls->over = true;
		return system ? -system : -EPIPE;
	default:
		tls->over = true;
		error = ERR_peek_error();
		if (ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return -EPIPE;
		t->why = why_failed(tls->ssl, error);
		return -EPROTO;
	}
}

/* OpenSSL looks at what other calls have left, and errno is only set by a failure. */
static void forget_errors(void)
{
	ERR_clear_error();
	errno = 0;
}

static ssize_t tls_write(struct transport *t, const void *bytes, size_t len)
{
	size_t n;
	int rc;

	forget_errors();
	rc = SSL_write_ex(of(t)->ssl, bytes, len, &n);
	return rc > 0 ? (ssize_t)n : result(t, rc);
}

static ssize_t tls_read(struct transport *t, void *bytes, size_t len)
{
	size_t n;
	int rc;

	forget_errors();
	rc = SSL_read_ex(of(t)->ssl, bytes, len, &n);
	return rc > 0 ? (ssize_t)n : result(t, rc);
}

/* Also takes in what TLS itself has to say, as session tickets. */
static int tls_check(struct transport *t)
{
	char byte;
	size_t n;
	int rc;

	forget_errors();
	rc = SSL_peek_ex(of(t)->ssl, &byte, 1, &n);
	if (rc > 0)
		return -EPROTO;
	rc = result(t, rc);
	return rc == -EAGAIN ? 0 : rc;
}

static int tls_hang_up(struct transport *t)
{
	struct tls_transport *tls = of(t);

	if (tls->ssl && !tls->over && SSL_is_init_finished(tls->ssl)) {
		forget_errors();
		SSL_shutdown(tls->ssl);
	}
	tls->over = true;
	return socket_hang_up(t);
}

static int tls_close(struct transport *t)
{
	struct tls_transport *tls = of(t);

	if (tls->ssl)
		tls_hang_up(t);
	SSL_free(tls->ssl);
	tls->ssl = NULL;
	ERR_clear_error();
	return socket_close(t);
}

static bool is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Whom we expect: a name, which is also told (SNI), or an address, without its scope. */
static bool expect_host(SSL *ssl, const char *name)
{
	char host[SINK_HOST_MAX + 1];

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(name, "%"), name);
	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host);
}

static int shake_hands(struct transport *t, struct wait *wait)
{
	const uint64_t deadline = wait_until(SINK_HANDSHAKE_MS);
	int rc;

	do {
		forget_errors();
		rc = SSL_connect(of(t)->ssl);
		if (rc == 1)
			return 0;
		rc = result(t, rc);
		if (rc == -EAGAIN)
			rc = wait_ready(wait, t->fd, t->wants, deadline);
	} while (rc > 0);
	if (rc == -ETIMEDOUT)
		t->why = "the TLS handshake was not done in time";
	else if (rc == -EPIPE || rc == -ECONNRESET)
		t->why = "it closed the connection in the TLS handshake";
	return rc;
}

static int tls_open(struct transport *t, struct wait *wait)
{
	struct tls_transport *tls = of(t);
	int rc = tcp_connect(t, wait);

	if (rc)
		return rc;
	tls->over = false;
	tls->ssl = SSL_new(tls->context);
	if (!tls->ssl || !SSL_set_fd(tls->ssl, t->fd) || !expect_host(tls->ssl, tls->tcp.host))
		return -ENOMEM;
	return shake_hands(t, wait);
}

static void tls_destroy(struct transport *t)
{
	SSL_CTX_free(of(t)->context);
	tcp_destroy(t);
}

/* No key with a password: nobody is there to ask. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
	(void)buffer, (void)size, (void)writing, (void)arg;
	return 0;
}

struct problem {
	char *text;
	size_t size;
};

static int complain(const struct problem *p, const char *what, const char *path)
{
	int rc = access(path, R_OK) ? -errno : -EINVAL;
	unsigned long error = ERR_peek_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	snprintf(p->text, p->size, "cannot use the %s in %.200s: %s", what, path,
		rc != -EINVAL ? strerror(-rc)
		: reason      ? reason
			      : "not in PEM format");
	ERR_clear_error();
	return rc;
}

static int load_ca(SSL_CTX *context, const char *path, const struct problem *p)
{
	struct stat status;
	int ok;

	ERR_clear_error();
	if (!path)
		ok = SSL_CTX_set_default_verify_paths(context);
	else if (!stat(path, &status) && S_ISDIR(status.st_mode))
		ok = SSL_CTX_load_verify_dir(context, path);
	else
		ok = SSL_CTX_load_verify_file(context, path);
	return ok ? 0 : complain(p, "CA certificates", path ? path : "the system's folder");
}

static int load_own(SSL_CTX *context, const char *cert, const char *key, const struct problem *p)
{
	if (!cert && !key)
		return 0;
	if (!cert) {
		snprintf(p->text, p->size, "a key is given without its certificate (tls-cert)");
		return -EINVAL;
	}
	if (!key)
		key = cert;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
		return complain(p, "certificate", cert);
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(context) != 1)
		return complain(p, "key", key);
	return 0;
}

static int set_up(struct tls_transport *tls, const struct sink_settings *s,
	const struct sink_tls *tls_options, const struct problem *p)
{
	bool verify = s->tls_verify ? s->tls_verify == SINK_YES : !tls_options->no_verify;
	int rc = 0;

	tls->context = SSL_CTX_new(TLS_client_method());
	if (!tls->context || !SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION))
		return -ENOMEM;
	SSL_CTX_set_mode(
		tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(tls->context, no_password);
	SSL_CTX_set_verify(tls->context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (!verify)
		tls->tcp.base.note = "over TLS, its certificate is not verified";
	if (verify)
		rc = load_ca(tls->context, sink_setting(s, s->tls_ca, tls_options->ca), p);
	if (rc)
		return rc;
	return load_own(tls->context, sink_setting(s, s->tls_cert, tls_options->cert),
		sink_setting(s, s->tls_key, s->tls_cert ? NULL : tls_options->key), p);
}

int tls_transport_new(const struct sink_url *url, const struct sink_options *options,
	struct transport **ret, char *hint, size_t hint_size)
{
	static const struct transport_ops ops = {
		.open = tls_open,
		.write = tls_write,
		.read = tls_read,
		.check = tls_check,
		.hang_up = tls_hang_up,
		.close = tls_close,
		.destroy = tls_destroy,
	};
	const struct problem problem = {hint, hint_size};
	struct tls_transport *tls = calloc(1, sizeof(*tls));
	int rc;

	if (!tls)
		return -ENOMEM;
	rc = tcp_init(&tls->tcp, &ops, url, options);
	if (rc) {
		free(tls);
		return rc;
	}
	rc = set_up(tls, &url->settings, &options->tls, &problem);
	if (rc)
		transport_free(&tls->tcp.base);
	else
		*ret = &tls->tcp.base;
	return rc;
}
