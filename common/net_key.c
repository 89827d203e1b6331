#include "common/net_key.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS     (2 * NET_KEY_BYTES)
#define FILE_BYTES (DIGITS + 1) /* a line of them */

static const char digits[] = "0123456789abcdef";

err_t net_key_new(net_key *k)
{
    if (getrandom(k->bytes, sizeof k->bytes, 0) != sizeof k->bytes)
        return err_errno("asking the kernel for a random key");
    return OK;
}

void net_key_forget(net_key *k)
{
    explicit_bzero(k, sizeof *k);
}

err_t net_key_write(const net_key *k, const char *path)
{
    char text[FILE_BYTES];
    int  fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno("making the key file %s", path);
    for (int i = 0; i < NET_KEY_BYTES; i++) {
        text[2 * i]     = digits[k->bytes[i] >> 4];
        text[2 * i + 1] = digits[k->bytes[i] & 15];
    }
    text[DIGITS]  = '\n';
    bool  written = write(fd, text, sizeof text) == sizeof text;
    err_t err     = written ? OK : err_errno("writing the key file %s", path);
    explicit_bzero(text, sizeof text);
    if (close(fd) != 0 && err == OK)
        err = err_errno("writing the key file %s", path);
    if (err != OK)
        unlink(path);
    return err;
}

/* Whether text is a key's. What it says is a secret, so no error may quote it. */
static bool decode(net_key *k, const char *text, size_t bytes)
{
    if (bytes != FILE_BYTES || text[DIGITS] != '\n')
        return false;
    for (int i = 0; i < DIGITS; i++) {
        const char *digit = memchr(digits, text[i], sizeof digits - 1);
        if (!digit)
            return false;
        int value       = (int)(digit - digits);
        k->bytes[i / 2] = (unsigned char)(i % 2 ? k->bytes[i / 2] | value : value << 4);
    }
    return true;
}

static err_t read_open(net_key *k, int fd, const char *path)
{
    struct stat st;
    char        text[FILE_BYTES + 1]; /* one more: a longer file is none */

    if (fstat(fd, &st) != 0)
        return err_errno("looking at the key file %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(ERR_CONFIG, "the key file %s is not a regular file", path);
    if (st.st_mode & 0077)
        return err_set(ERR_CONFIG,
                       "the key file %s has mode %04o, so others may use it; wanted 0600", path,
                       st.st_mode & 07777);
    ssize_t n    = read(fd, text, sizeof text);
    bool    good = n >= 0 && decode(k, text, (size_t)n);
    explicit_bzero(text, sizeof text);
    if (n < 0)
        return err_errno("reading the key file %s", path);
    if (!good)
        return err_set(ERR_CONFIG, "the key file %s holds no key, a line of %d digits 0-9a-f",
                       path, DIGITS);
    return OK;
}

err_t net_key_read(net_key *k, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */

    *k = (net_key){0};
    if (fd < 0)
        return err_errno("opening the key file %s", path);
    err_t err = read_open(k, fd, path);
    close(fd);
    if (err != OK)
        net_key_forget(k);
    return err;
}
