/* Times logins through libpam.
 *
 *   driver one SERVICE USER CODE            one login; exit code is PAM's
 *   driver fresh SERVICE                    a new process for each login (posix_spawn + exec + wait)
 *   driver resident SERVICE MODULE          all logins in this process, with the module kept loaded
 *   driver storm SERVICE N                  N processes at a time, each login in a new process; prints the whole time
 *   driver crowd SERVICE N MODULE           the same, in N processes that have the module loaded and stay
 *   driver flush FILE                       five pages over a file that has grown, then fsync
 *
 * "USER CODE" pairs come on standard input; a line of nanoseconds is printed for each login (storm, crowd: one line);
 * resident adds those since the last prompt was answered. A login that fails ends the run with 1.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <security/pam_appl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
enum { MOST = 20000 };
static char users[MOST][32], codes[MOST][16];

static long asked; /* when the last prompt came */

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *code)
{
    (void)messages;
    asked = now();
    *responses = calloc(count, sizeof **responses);
    for (int i = 0; i < count; i++)
        (*responses)[i].resp = strdup(code);
    return PAM_SUCCESS;
}

static int login(const char *service, const char *user, char *code)
{
    struct pam_conv conv = { converse, code };
    pam_handle_t *handle;
    int result = pam_start(service, user, &conv, &handle);
    if (result == PAM_SUCCESS)
        result = pam_authenticate(handle, 0);
    pam_end(handle, result);
    return result;
}

static pid_t start(char *self, char *service, int i)
{
    char *argv[] = { self, "one", service, users[i], codes[i], NULL };
    pid_t pid;
    if (posix_spawn(&pid, self, NULL, NULL, argv, environ))
        exit(2);
    return pid;
}

static void reap(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "a login failed: %d\n", WEXITSTATUS(status));
        exit(1);
    }
}

/* As the log of the store is written: pages in turn over a file of a fixed length. */
static int flush(const char *path)
{
    enum { PAGE = 4120, PAGES = 3000, TURNS = 200, EACH = 5 };
    static char page[PAGE];
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < PAGES; i++)
        if (pwrite(file, page, PAGE, (off_t)i * PAGE) != PAGE)
            return 1;
    fsync(file);
    for (int turn = 0; turn < TURNS; turn++) {
        long begin = now();
        for (int i = 0; i < EACH; i++)
            if (pwrite(file, page, PAGE, (off_t)(turn * EACH + i) * PAGE) != PAGE)
                return 1;
        if (fsync(file))
            return 1;
        printf("%ld\n", now() - begin);
    }
    return unlink(path);
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "one"))
        return login(argv[2], argv[3], argv[4]);
    if (argc < 3)
        return 2;
    if (!strcmp(argv[1], "flush"))
        return flush(argv[2]);
    int count = 0;
    while (count < MOST && scanf("%31s %15s", users[count], codes[count]) == 2)
        count++;
    if (!strcmp(argv[1], "fresh")) {
        for (int i = 0; i < count; i++) {
            long begin = now();
            reap(start("/proc/self/exe", argv[2], i));
            printf("%ld\n", now() - begin);
        }
    } else if (!strcmp(argv[1], "resident")) {
        if (argc > 3 && !dlopen(argv[3], RTLD_NOW))
            return 2;
        for (int i = 0; i < count; i++) {
            long begin = now();
            asked = 0;
            if (login(argv[2], users[i], codes[i]) != PAM_SUCCESS)
                return 1;
            long end = now();
            printf("%ld %ld\n", end - begin, asked ? end - asked : 0);
        }
    } else if (!strcmp(argv[1], "storm")) {
        int width = atoi(argv[3]), next = 0;
        pid_t running[512] = { 0 };
        long begin = now();
        for (int done = 0; done < count; done++) {
            for (int slot = 0; slot < width && next < count; slot++)
                if (!running[slot])
                    running[slot] = start("/proc/self/exe", argv[2], next++);
            pid_t pid = wait(&(int){ 0 });
            for (int slot = 0; slot < width; slot++)
                if (running[slot] == pid)
                    running[slot] = 0;
        }
        printf("%ld\n", now() - begin);
    } else if (!strcmp(argv[1], "crowd") && argc == 5) {
        int width = atoi(argv[3]);
        if (!dlopen(argv[4], RTLD_NOW))
            return 2;
        long begin = now();
        for (int slot = 0; slot < width; slot++)
            if (fork() == 0) {
                for (int i = slot; i < count; i += width)
                    if (login(argv[2], users[i], codes[i]) != PAM_SUCCESS)
                        _exit(1);
                _exit(0);
            }
        for (int slot = 0; slot < width; slot++)
            reap(-1);
        printf("%ld\n", now() - begin);
    } else {
        return 2;
    }
    return 0;
}
