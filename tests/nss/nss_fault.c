/* A name service that does what /etc/nss-fault says (nsswitch.conf(5), service "fault"): `fail` is out of order, `slow N`
 * answers after N seconds, anything else knows nobody. */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static enum nss_status answer(int *errnop)
{
    char word[16] = "";
    unsigned seconds = 0;
    FILE *file = fopen("/etc/nss-fault", "re");
    if (file) {
        if (fscanf(file, "%15s %u", word, &seconds) < 1)
            word[0] = 0;
        fclose(file);
    }
    if (word[0] == 's')
        sleep(seconds);
    *errnop = word[0] == 'f' ? EIO : ENOENT;
    return word[0] == 'f' ? NSS_STATUS_UNAVAIL : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_fault_getpwnam_r(const char *name, struct passwd *result, char *buffer, size_t size, int *errnop)
{
    (void)name, (void)result, (void)buffer, (void)size;
    return answer(errnop);
}

enum nss_status _nss_fault_getpwuid_r(uid_t uid, struct passwd *result, char *buffer, size_t size, int *errnop)
{
    (void)uid, (void)result, (void)buffer, (void)size;
    return answer(errnop);
}

enum nss_status _nss_fault_getgrnam_r(const char *name, struct group *result, char *buffer, size_t size, int *errnop)
{
    (void)name, (void)result, (void)buffer, (void)size;
    return answer(errnop);
}

enum nss_status _nss_fault_initgroups_dyn(const char *user, gid_t group, long *start, long *size, gid_t **groups,
                                          long limit, int *errnop)
{
    (void)user, (void)group, (void)start, (void)size, (void)groups, (void)limit;
    return answer(errnop);
}
