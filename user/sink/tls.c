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
#include <unistd.h>

#include "sink/socket.h"
#include "sink/tcp.h"
#include "sink/tls_context.h"
#include "sink/transport.h"

struct tls_transport {
	struct tcp_transport tcp;
	struct tls_context *context;
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
	SSL_CTX *context;
	bool stale;

	if (rc)
		return rc;
	context = tls_context_get(tls->context, &stale);
	t->note =
		stale ? "with the certificates of before: what is in their files now cannot be used"
		: tls_context_verifies(tls->context) ? NULL
						     : "over TLS, its certificate is not verified";
	tls->over = false;
	tls->ssl = SSL_new(context);
	if (!tls->ssl || !SSL_set_fd(tls->ssl, t->fd) || !expect_host(tls->ssl, tls->tcp.host))
		return -ENOMEM;
	return shake_hands(t, wait);
}

static void tls_destroy(struct transport *t)
{
	tls_context_free(of(t)->context);
	tcp_destroy(t);
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
	struct tls_transport *tls = calloc(1, sizeof(*tls));
	int rc;

	if (!tls)
		return -ENOMEM;
	rc = tcp_init(&tls->tcp, &ops, url, options);
	if (rc) {
		free(tls);
		return rc;
	}
	rc = tls_context_new(url, options, &tls->context, hint, hint_size);
	if (rc)
		transport_free(&tls->tcp.base);
	else
		*ret = &tls->tcp.base;
	return rc;
}
