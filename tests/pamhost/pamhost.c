/* An application that authenticates by PAM, as friendly or hostile as a test wants it.
 *
 *   pamhost [-c CONFDIR] [-s SERVICE] [-u USER] [-r RHOST] [-t TTY] [-e NAME=VALUE]...
 *           [-n TIMES] [-S] [-2] [-A] [-T] [-H] [ANSWER...]
 *
 * Prints each message of a module ("prompt echo-on: TEXT"), then "auth CODE NAME" and, with -S, the same of every other
 * entry point, behind a second auth phase if -2 is given: setcred, acct_mgmt, open_session, close_session, chauthtok. With -A it skips the auth phase, as sshd does
 * for keys, and prints "acct_mgmt CODE NAME".
 * An ANSWER is typed at a prompt; these are special:
 *   @stdin      ask the driver: a line of standard input
 *   @null       say PAM_SUCCESS and answer NULL      @nullarray  say PAM_SUCCESS and give no array
 *   @error      say PAM_CONV_ERR                     @long       100000 bytes
 *   @rename     change PAM_USER to "mallory", then answer 123456
 * -n repeats the whole cycle and reports what it left behind;
 * -T runs each cycle in a thread of its own; -H closes 0, 1, 2, opens 1020 descriptors, deletes the working directory and
 * fills the environment with nonsense first.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *confdir, *service = "test", *user = "alice", *rhost, *tty, *env[16];
static int env_count, times = 1, setcred, again, skip_auth, threaded, hostile;
static char **answers;
static FILE *out;
static pam_handle_t *handle;

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
    char ***next = data;
    if (count != 1) {
        fprintf(out, "batch of %d messages\n", count);
        return PAM_CONV_ERR;
    }
    int style = messages[0]->msg_style;
    if (style == PAM_TEXT_INFO || style == PAM_ERROR_MSG) {
        fprintf(out, "info: %s\n", messages[0]->msg);
        *responses = calloc(1, sizeof **responses);
        return PAM_SUCCESS;
    }
    fprintf(out, "prompt %s: %s\n", style == PAM_PROMPT_ECHO_ON ? "echo-on" : "echo-off", messages[0]->msg);
    fflush(out);
    const char *answer = **next;
    if (!answer)
        return PAM_CONV_ERR;
    ++*next;
    if (!strcmp(answer, "@error"))
        return PAM_CONV_ERR;
    if (!strcmp(answer, "@nullarray")) {
        *responses = NULL;
        return PAM_SUCCESS;
    }
    *responses = calloc(1, sizeof **responses);
    if (!strcmp(answer, "@null"))
        return PAM_SUCCESS;
    if (!strcmp(answer, "@long")) {
        char *text = malloc(100001);
        memset(text, '1', 100000);
        text[100000] = 0;
        (*responses)->resp = text;
        return PAM_SUCCESS;
    }
    if (!strcmp(answer, "@rename")) {
        pam_set_item(handle, PAM_USER, "mallory");
        answer = "123456";
    }
    if (!strcmp(answer, "@stdin")) {
        char line[256];
        if (!fgets(line, sizeof line, stdin))
            return PAM_CONV_ERR;
        line[strcspn(line, "\n")] = 0;
        (*responses)->resp = strdup(line);
        return PAM_SUCCESS;
    }
    (*responses)->resp = strdup(answer);
    return PAM_SUCCESS;
}

static void report(const char *entry, int code)
{
    fprintf(out, "%s %d %s\n", entry, code, pam_strerror(handle, code));
}

static void *cycle(void *unused)
{
    (void)unused;
    char **next = answers;
    struct pam_conv conv = { converse, &next };
    int code = confdir ? pam_start_confdir(service, user, &conv, confdir, &handle)
                       : pam_start(service, user, &conv, &handle);
    if (code != PAM_SUCCESS) {
        fprintf(out, "start %d\n", code);
        return (void *)(long)code;
    }
    if (rhost)
        pam_set_item(handle, PAM_RHOST, rhost);
    if (tty)
        pam_set_item(handle, PAM_TTY, tty);
    for (int i = 0; i < env_count; i++)
        pam_putenv(handle, env[i]);
    if (skip_auth) {
        fprintf(out, "auth -1 skipped\n");
        report("acct_mgmt", pam_acct_mgmt(handle, 0));
        pam_end(handle, PAM_SUCCESS);
        return NULL;
    }
    code = pam_authenticate(handle, 0);
    fprintf(out, "auth %d %s\n", code, pam_strerror(handle, code));
    if (again)
        report("again", pam_authenticate(handle, 0));
    if (setcred) {
        report("setcred", pam_setcred(handle, PAM_ESTABLISH_CRED));
        report("acct_mgmt", pam_acct_mgmt(handle, 0));
        report("open_session", pam_open_session(handle, 0));
        report("close_session", pam_close_session(handle, 0));
        report("chauthtok", pam_chauthtok(handle, 0));
    }
    pam_end(handle, code);
    return (void *)(long)code;
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

/* What a module could leave behind in its host. */
static void census(const char *when)
{
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    int blocked = 0, handled = 0;
    for (int s = 1; s < 65; s++) {
        struct sigaction action;
        blocked += sigismember(&mask, s) == 1;
        handled += sigaction(s, NULL, &action) == 0 && action.sa_handler != SIG_DFL;
    }
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm && fscanf(statm, "%*d %ld", &pages) != 1)
        pages = 0;
    if (statm)
        fclose(statm);
    fprintf(out, "%s: fds=%d threads=%d blocked=%d handled=%d rss_kib=%ld\n", when, entries("/proc/self/fd"),
            entries("/proc/self/task"), blocked, handled, pages * sysconf(_SC_PAGESIZE) / 1024);
}

static void be_hostile(void)
{
    static char long_value[100000] = "LONG=";
    static char *nonsense[] = { "", "=", "==", "NO_EQUALS", "A=1", "A=2", "\xff\xfe=\x80\n\x1b[2J", "RUST_BACKTRACE=full",
        "RUST_LOG=trace", "RUST_MIN_STACK=x", "HTTP_PROXY=http://127.0.0.1:1", "TZ=:/dev/zero", "TMPDIR=/nonexistent",
        "LANG=tr_TR.UTF-8", "SSH_AUTH_INFO_0=publickey x", "SSH_CONNECTION=1 2 3 4", "TWINLOCK_SOCKET=/tmp/x", long_value,
        NULL };
    memset(long_value + 5, 'x', sizeof long_value - 6);
    environ = nonsense;
    char folder[] = "/tmp/pamhost-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) || rmdir(folder))
        exit(65);
    close(0);
    close(1);
    close(2);
    for (int i = 0; i < 1020; i++)
        if (open("/dev/null", O_RDWR) < 0)
            break;
    close(0);
    close(1);
    close(2);
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "c:s:u:r:t:e:n:S2ATH")) != -1) {
        switch (option) {
        case 'c': confdir = optarg; break;
        case 's': service = optarg; break;
        case 'u': user = optarg; break;
        case 'r': rhost = optarg; break;
        case 't': tty = optarg; break;
        case 'e': if (env_count < 16) env[env_count++] = optarg; break;
        case 'n': times = atoi(optarg); break;
        case 'S': setcred = 1; break;
        case '2': again = 1; break;
        case 'A': skip_auth = 1; break;
        case 'T': threaded = 1; break;
        case 'H': hostile = 1; break;
        default: return 64;
        }
    }
    answers = argv + optind;
    struct rlimit limit = { 4096, 4096 };
    setrlimit(RLIMIT_NOFILE, &limit);
    out = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 2000), "w");
    if (!out)
        out = stdout;
    setvbuf(out, NULL, _IOLBF, 0);
    if (hostile)
        be_hostile();
    void *code = NULL;
    for (int i = 0; i < times; i++) {
        if (times > 1 && i == 3) /* after what is done once in a process */
            census("before");
        if (threaded) {
            pthread_t thread;
            pthread_create(&thread, NULL, cycle, NULL);
            pthread_join(thread, &code);
        } else {
            code = cycle(NULL);
        }
    }
    if (times > 1)
        census("after");
    fflush(out);
    return (int)(long)code;
}
