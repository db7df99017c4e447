/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/tls_context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/tls_settings.h"
#include "sink/transport.h"

enum which { CA = TLS_CA, CERT = TLS_CERT, KEY = TLS_KEY, FILES };

struct tls_context {
	const struct sink_files *files;
	char *paths[FILES];        /* NULL: none */
	struct stat status[FILES]; /* of what was read; all 0: could not be asked for */
	bool verify;
	SSL_CTX *ssl;
};

struct problem {
	char *text;
	size_t size;
	enum which which;
};

/* No key with a password: nobody is there to ask. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
	bool *ret_asked = arg;

	(void)buffer, (void)size, (void)writing;
	if (ret_asked)
		*ret_asked = true;
	return 0;
}

/* OpenSSL's own words, but for what it says of a file that is something else. */
static const char *reason_of(unsigned long error)
{
	const int reason = ERR_GET_REASON(error);
	const char *text = error ? ERR_reason_error_string(error) : NULL;

	if (!text || reason == ERR_R_UNSUPPORTED ||
		(ERR_GET_LIB(error) == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE))
		return "there is none in PEM format in it";
	return text;
}

static int complain(struct problem *p, enum which which, const char *path, int rc)
{
	static const char *const names[] = {
		[CA] = "CA certificates", [CERT] = "certificate", [KEY] = "key"};

	p->which = which;
	snprintf(p->text, p->size, "cannot use the %s in %.200s: %s", names[which], path,
		rc == -EINVAL         ? reason_of(ERR_peek_error())
		: rc == -EKEYREJECTED ? "it has a password, and nobody is there to give it"
				      : files_why(rc));
	ERR_clear_error();
	return rc;
}

/* Buffered by stdio: OpenSSL's own would read a descriptor byte by byte. */
static int open_pem(const struct tls_context *c, const char *path, BIO **ret)
{
	int fd = c->files->open(c->files->arg, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	FILE *file;

	if (fd < 0)
		return fd;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	*ret = BIO_new_fp(file, BIO_CLOSE);
	if (*ret)
		return 0;
	fclose(file);
	return -ENOMEM;
}

/* All certificates and revocation lists of a file. */
static int add_trusted_file(const struct tls_context *c, SSL_CTX *ssl, const char *path)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	STACK_OF(X509_INFO) * all;
	BIO *bio;
	int rc = open_pem(c, path, &bio), count = 0;

	if (rc)
		return rc;
	all = PEM_X509_INFO_read_bio(bio, NULL, no_password, NULL);
	for (int i = 0; all && i < sk_X509_INFO_num(all); i++) {
		const X509_INFO *one = sk_X509_INFO_value(all, i);

		if (one->x509)
			count += X509_STORE_add_cert(store, one->x509);
		if (one->crl)
			count += X509_STORE_add_crl(store, one->crl);
	}
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	BIO_free(bio);
	return count ? 0 : -EINVAL;
}

static int add_trusted_folder(const struct tls_context *c, SSL_CTX *ssl, const char *folder)
{
	int fd = c->files->open(c->files->arg, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char path[SINK_TEXT_MAX + 256];
	struct dirent *entry;

	if (fd < 0)
		return fd;
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (!tls_name_is_hashed(entry->d_name))
			continue;
		/* as OpenSSL: one that cannot be read is missed when it is needed */
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		add_trusted_file(c, ssl, path);
	}
	closedir(dir);
	return 0;
}

static int load_ca(struct tls_context *c, SSL_CTX *ssl, struct problem *p)
{
	const char *path = c->paths[CA];
	int rc;

	if (!path)
		rc = SSL_CTX_set_default_verify_paths(ssl) ? 0 : -EINVAL;
	else if (S_ISDIR(c->status[CA].st_mode))
		rc = add_trusted_folder(c, ssl, path);
	else
		rc = add_trusted_file(c, ssl, path);
	if (rc)
		return complain(p, CA, path ? path : "the system's folder", rc);
	ERR_clear_error();
	return 0;
}

/* The first is our own, what follows leads to a CA. */
static int take_chain(SSL_CTX *ssl, BIO *bio)
{
	X509 *one = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
	int ok = one && SSL_CTX_use_certificate(ssl, one);

	X509_free(one);
	while (ok && (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)))
		if (!(ok = (int)SSL_CTX_add0_chain_cert(ssl, one)))
			X509_free(one);
	/* the end of the file, or the key that stands in it too */
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error();
	return ok && !ERR_peek_error() ? 0 : -EINVAL;
}

static int take_key(SSL_CTX *ssl, BIO *bio)
{
	bool asked = false;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
	bool ok = key && SSL_CTX_use_PrivateKey(ssl, key) && SSL_CTX_check_private_key(ssl);

	EVP_PKEY_free(key);
	return ok ? 0 : asked ? -EKEYREJECTED : -EINVAL;
}

static int load_pem(struct tls_context *c, SSL_CTX *ssl, const char *path, enum which which,
	int (*take)(SSL_CTX *ssl, BIO *bio), struct problem *p)
{
	BIO *bio;
	int rc = open_pem(c, path, &bio);

	if (!rc) {
		rc = take(ssl, bio);
		BIO_free(bio);
	}
	return rc ? complain(p, which, path, rc) : 0;
}

static int load_own(struct tls_context *c, SSL_CTX *ssl, struct problem *p)
{
	const char *cert = c->paths[CERT], *key = c->paths[KEY];
	int rc;

	if (!cert && !key)
		return 0;
	if (!cert) {
		p->which = KEY;
		snprintf(p->text, p->size, "a key is given without its certificate (tls-cert)");
		return -EINVAL;
	}
	rc = load_pem(c, ssl, cert, CERT, take_chain, p);
	return rc ? rc : load_pem(c, ssl, key ? key : cert, KEY, take_key, p);
}

static int load_all(struct tls_context *c, SSL_CTX *ssl, struct problem *p)
{
	int rc = c->verify ? load_ca(c, ssl, p) : 0;

	return rc ? rc : load_own(c, ssl, p);
}

static int load(struct tls_context *c, struct problem *p)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
	int rc = -ENOMEM;

	if (!ssl || !SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION))
		goto out;
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ssl, c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	ERR_clear_error();
	rc = load_all(c, ssl, p);
	if (rc)
		goto out;
	SSL_CTX_free(c->ssl);
	c->ssl = ssl;
	return 0;
out:
	SSL_CTX_free(ssl);
	return rc;
}

/* Asked for before they are read: a change in between is seen at the next look. */
static void look(const struct tls_context *c, struct stat ret[static FILES])
{
	memset(ret, 0, FILES * sizeof(*ret));
	for (int i = 0; i < FILES; i++)
		if (c->paths[i] && c->files->status(c->files->arg, c->paths[i], &ret[i]))
			memset(&ret[i], 0, sizeof(ret[i]));
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

SSL_CTX *tls_context_get(struct tls_context *c, bool *ret_stale)
{
	char nobody_reads[1];
	struct problem problem = {.text = nobody_reads, .size = sizeof(nobody_reads)};
	struct stat before[FILES], now[FILES];
	bool same = true;

	look(c, now);
	for (int i = 0; i < FILES; i++)
		same &= is_same(&now[i], &c->status[i]);
	*ret_stale = false;
	if (same)
		return c->ssl;
	memcpy(before, c->status, sizeof(before));
	memcpy(c->status, now, sizeof(now));
	*ret_stale = load(c, &problem);
	/* so that the next connection tries again: a file may come after the other */
	if (*ret_stale)
		memcpy(c->status, before, sizeof(before));
	return c->ssl;
}

bool tls_context_verifies(const struct tls_context *c)
{
	return c->verify;
}

static int copy_path(struct tls_context *c, enum which which, const char *path)
{
	if (!path)
		return 0;
	c->paths[which] = strdup(path);
	return c->paths[which] ? 0 : -ENOMEM;
}

static int set_paths(struct tls_context *c, const struct tls_settings *s)
{
	int rc = copy_path(c, CA, s->ca);

	c->verify = s->verify;
	if (!rc)
		rc = copy_path(c, CERT, s->cert);
	return rc ? rc : copy_path(c, KEY, s->key);
}

int tls_context_new(const struct sink_url *url, const struct sink_options *options,
	struct tls_context **ret, char *hint, size_t hint_size)
{
	const struct tls_settings settings = tls_settings_of(&url->settings, &options->tls);
	struct problem problem = {.text = hint, .size = hint_size};
	struct tls_context *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->files = sink_files(options);
	rc = set_paths(c, &settings);
	if (!rc) {
		look(c, c->status);
		rc = load(c, &problem);
	}
	if (rc)
		tls_context_free(c);
	else
		*ret = c;
	return rc;
}

static void free_paths(struct tls_context *c)
{
	for (int i = 0; i < FILES; i++)
		free(c->paths[i]);
}

int tls_settings_check(
	const struct tls_settings *s, bool own, enum tls_file *ret_file, char *why, size_t why_size)
{
	struct problem problem = {.text = why, .size = why_size};
	struct tls_context c = {.files = &files_plain, .verify = s->verify};
	SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
	int rc = ssl ? set_paths(&c, s) : -ENOMEM;

	snprintf(why, why_size, "%s", strerror(ENOMEM));
	if (!rc) {
		look(&c, c.status);
		ERR_clear_error();
		rc = own ? load_own(&c, ssl, &problem) : s->verify ? load_ca(&c, ssl, &problem) : 0;
	}
	*ret_file = (enum tls_file)problem.which;
	SSL_CTX_free(ssl);
	free_paths(&c);
	return rc;
}

void tls_context_free(struct tls_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free_paths(c);
	free(c);
}
