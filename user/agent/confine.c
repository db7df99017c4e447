/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/confine_calls.h"
#include "base/log.h"

/* No program that is executed gains capabilities for being root's, and none becomes ambient. */
enum {
	SECUREBITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED
};

/* DEFAULT_OVERFLOWUID of the kernel. */
#define OVERFLOW_USER "65534"

static int say(int err, const char *what)
{
	log_error("cannot give up rights: %s: %s (--confine off goes on without)", what,
		strerror(-err));
	return err;
}

static bool holds(unsigned int capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

/* A name, or the number of a user, who need not have a name then. */
static int find_user(const char *name, struct confine *c)
{
	const struct passwd *entry = getpwnam(name);
	unsigned long number;
	char *end;

	snprintf(c->user, sizeof(c->user), "%s", name);
	if (entry) {
		c->uid = entry->pw_uid;
		c->gid = entry->pw_gid;
		return 0;
	}
	number = strtoul(name, &end, 10);
	if (*name < '0' || *name > '9' || *end || number >= (uid_t)-1)
		return -ENOENT;
	entry = getpwuid((uid_t)number);
	c->uid = (uid_t)number;
	c->gid = entry ? entry->pw_gid : (gid_t)number;
	return 0;
}

bool confine_user_exists(const char *name)
{
	struct confine c;

	return !find_user(name, &c);
}

/* Where no user has a name (a small container) it is the number that the kernel has for nobody. */
static int find_default(struct confine *c)
{
	int err = find_user("dnstap-bpf", c);

	if (err)
		err = find_user("nobody", c);
	return err ? find_user(OVERFLOW_USER, c) : 0;
}

static int stay(const struct options *options, struct confine *c)
{
	if (options->user && c->uid != geteuid()) {
		log_error("--user %s: only root can become another user: start as root or as %s",
			options->user, options->user);
		return -EPERM;
	}
	c->uid = geteuid();
	c->gid = getegid();
	snprintf(c->user, sizeof(c->user), "user %u", (unsigned)c->uid);
	return 0;
}

int confine_prepare(const struct options *options, struct confine *ret)
{
	int err = 0;

	*ret = (struct confine){.mode = options->confine, .change = !geteuid()};
	if (ret->mode == CONFINE_OFF)
		return 0;
	if (options->user)
		err = find_user(options->user, ret);
	else if (ret->change)
		err = find_default(ret);
	if (err && options->user)
		log_error("--user %s: there is no such user", options->user);
	if (err)
		return err;
	ret->change = ret->change && ret->uid;
	if (!ret->change)
		return stay(options, ret);
	if (capng_get_caps_process())
		return say(-EIO, "which capabilities there are cannot be read");
	if (!(holds(CAP_SETUID) && holds(CAP_SETGID))) {
		log_error("cannot become %s: root lacks CAP_SETUID and CAP_SETGID here: grant "
			  "them, or --user root",
			ret->user);
		return -EPERM;
	}
	return 0;
}

static int forbid_core_dumps(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return 0;
}

/* Only who may set the bounding set may set these; who may not has no_new_privs alone. */
static int lock_securebits(void)
{
	if (capng_get_caps_process())
		return -EIO;
	if (holds(CAP_SETPCAP) && prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0))
		return -errno;
	return 0;
}

/* Of the four sets only these remain, as far as they were there. */
static int keep_capabilities(const unsigned int *kept, size_t count)
{
	bool held[16] = {false}, bounds;

	if (capng_get_caps_process())
		return -EIO;
	bounds = holds(CAP_SETPCAP);
	for (size_t i = 0; i < count; i++)
		held[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	capng_clear(CAPNG_SELECT_BOTH);
	if (bounds && capng_apply(CAPNG_SELECT_BOUNDS))
		return -EPERM;
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < count; i++)
		if (held[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
	/* what is not inheritable any more is no longer ambient either: capabilities(7) */
	return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

static int change_user(const struct confine *c)
{
	capng_clear(CAPNG_SELECT_BOTH);
	errno = 0;
	if (capng_change_id((int)c->uid, (int)c->gid,
		    CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT))
		return errno ? -errno : -EPERM;
	return 0;
}

/* Asks for everything back, and looks at what the kernel says we are. */
static bool is_final(const struct confine *c)
{
	uid_t uid, euid, suid;
	gid_t gid, egid, sgid;

	if (c->uid && (!setuid(0) || !seteuid(0) || !setresuid(0, 0, 0)))
		return false;
	if (c->uid && c->gid && (!setgid(0) || !setegid(0)))
		return false;
	if (getresuid(&uid, &euid, &suid) || getresgid(&gid, &egid, &sgid))
		return false;
	if (uid != c->uid || euid != c->uid || suid != c->uid || gid != c->gid || egid != c->gid ||
		sgid != c->gid)
		return false;
	if (c->change && getgroups(0, NULL))
		return false;
	return !capng_get_caps_process() && capng_have_permitted_capabilities() == CAPNG_NONE &&
	       capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE;
}

static int load_calls(enum confine_role role, int mode)
{
	int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;

	if (err)
		return say(err, "no_new_privs");
	err = confine_calls_load(role, mode == CONFINE_LOG);
	return err ? say(err, "seccomp") : 0;
}

static void tell(const struct confine *c)
{
	if (c->mode == CONFINE_LOG)
		log_warn("--confine log: a system call that is not on the list is allowed, and "
			 "told in the kernel's log");
	if (!c->uid)
		log_warn("--user root: it stays root, though without capabilities");
	log_debug("confined: %s, no capabilities, seccomp", c->user);
}

int confine_worker(const struct confine *c)
{
	int err;

	if (c->mode == CONFINE_OFF) {
		log_warn("--confine off: packets are read with all rights of who started this");
		return 0;
	}
	err = lock_securebits();
	if (err)
		return say(err, "securebits");
	err = c->change ? change_user(c) : keep_capabilities(NULL, 0);
	if (err)
		return say(err, c->change ? c->user : "capabilities");
	err = forbid_core_dumps();
	if (err)
		return say(err, "core dumps");
	if (!is_final(c))
		return say(-EPERM, "they could be regained");
	err = load_calls(CONFINE_WORKER, c->mode);
	if (!err)
		tell(c);
	return err;
}

int confine_opener(const struct options *options)
{
	static const unsigned int kept[] = {
		CAP_NET_RAW, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN, CAP_SYS_PTRACE};
	int err;

	if (options->confine == CONFINE_OFF)
		return 0;
	err = lock_securebits();
	if (!err)
		err = keep_capabilities(kept, options->netns_count ? 4 : 2);
	if (err)
		return say(err, "the opener's capabilities");
	err = forbid_core_dumps();
	if (err)
		return say(err, "core dumps");
	return load_calls(CONFINE_OPENER, options->confine);
}
