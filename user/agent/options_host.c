/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --check-config's look at this host: what is named and is not there keeps the tap from starting.
 * Nothing is made or changed. What who asks may not look at is no fault: the tap may have more
 * rights.
 */
#include "agent/options_table.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/confine.h"
#include "sink/tls_settings.h"

static int status_of(const char *path, struct stat *ret)
{
	return stat(path, ret) ? -errno : 0;
}

/* Whether a file may be made there: what is there already that is no file, or its folder. */
static int check_written(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	struct stat status;

	if (strlen(path) >= sizeof(folder))
		return -ENAMETOOLONG;
	if (!status_of(path, &status) && !S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : 0;
	if (slash)
		memcpy(folder, path, (size_t)(slash - path) + 1);
	if (status_of(folder, &status))
		return status_of(folder, &status);
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) ? -errno : 0;
}

/* Of a spool the last folder is made, and no more. */
static int check_spool(const char *path)
{
	char folder[PATH_MAX];
	struct stat status;
	int err = status_of(path, &status);

	if (err == -ENOENT && strlen(path) < sizeof(folder)) {
		strcpy(folder, path);
		err = status_of(dirname(folder), &status);
	}
	return err ? err : S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

static bool is_fault(int err)
{
	return err && err != -EACCES && err != -EPERM;
}

static void fail_sink(struct option_parsing *p, size_t i, const char *what, int err)
{
	const struct option_place *place = &p->sinks[i];

	option_fail(p, place, place->file ? "sinks" : NULL, "sink '%.200s': %.300s: %s",
		p->options->sinks[i].text, what, strerror(-err));
}

/* As the file's name would be now. */
static void check_sink_file(struct option_parsing *p, size_t i)
{
	const char *path = p->options->sinks[i].target;
	const time_t now = time(NULL);
	char name[PATH_MAX];
	struct tm local;
	int err;

	if (strchr(path, '%') && localtime_r(&now, &local) &&
		strftime(name, sizeof(name), path, &local))
		path = name;
	err = check_written(path);
	if (is_fault(err))
		fail_sink(p, i, path, err);
}

/* Where a setting was made: by the sink itself, or for all that do not; these are told once. */
static void fail_tls(
	struct option_parsing *p, size_t i, enum tls_file file, const char *why, bool told[])
{
	static const char *const names[] = {
		[TLS_CA] = "tls-ca", [TLS_CERT] = "tls-cert", [TLS_KEY] = "tls-key"};
	const struct sink_settings *s = &p->options->sinks[i].settings;
	const uint16_t own[] = {
		[TLS_CA] = s->tls_ca, [TLS_CERT] = s->tls_cert, [TLS_KEY] = s->tls_key};
	const struct option_place *place = &p->sinks[i];

	/* a certificate's file that has the key too */
	if (file == TLS_KEY && !own[TLS_KEY] && (own[TLS_CERT] || !p->options->tls.key))
		file = TLS_CERT;
	if (own[file])
		option_fail(p, place, place->file ? "sinks" : NULL, "sink '%.200s': %s: %s",
			p->options->sinks[i].text, names[file], why);
	else if (!told[file])
		option_fail_at(p, option_find(names[file]), "%s", why);
	told[file] |= !own[file];
}

static void check_tls(struct option_parsing *p, size_t i, bool told[])
{
	const struct options *o = p->options;
	const struct tls_settings settings = tls_settings_of(&o->sinks[i].settings, &o->tls);
	enum tls_file file;
	char why[300];

	for (int own = 0; own < 2; own++)
		if (is_fault(tls_settings_check(&settings, own, &file, why, sizeof(why))))
			fail_tls(p, i, file, why, told);
}

static void check_sink(struct option_parsing *p, size_t i, bool told[])
{
	const struct sink_url *url = &p->options->sinks[i];
	const char *spool = sink_setting(&url->settings, url->settings.spool, NULL);
	int err = spool ? check_spool(spool) : 0;

	if (is_fault(err))
		fail_sink(p, i, spool, err);
	if (url->kind == SINK_FILE)
		check_sink_file(p, i);
	if (url->kind == SINK_TLS)
		check_tls(p, i, told);
}

static void check_option(struct option_parsing *p, const char *name, const char *path, int err)
{
	if (is_fault(err))
		option_fail_at(p, option_find(name), "%.300s: %s", path, strerror(-err));
}

void option_check_host(struct option_parsing *p)
{
	const struct options *o = p->options;
	bool told[] = {[TLS_CA] = false, [TLS_CERT] = false, [TLS_KEY] = false};

	if (o->user && o->confine != CONFINE_OFF && !confine_user_exists(o->user))
		option_fail_at(p, option_find("user"), "%.100s: there is no such user", o->user);
	if (o->ledger)
		check_option(p, "ledger", o->ledger, check_written(o->ledger));
	if (o->spool)
		check_option(p, "spool", o->spool, check_spool(o->spool));
	for (size_t i = 0; i < o->sink_count; i++)
		check_sink(p, i, told);
}
