/* net_key - what the processes of a run hold and nobody else: 32 random bytes.
 *
 * A net that has the key (net.h) lets in who proves to hold the same, and nobody between two
 * of them reads, changes or repeats what they say. The file of a key is one line of 64
 * hexadecimal digits, which its owner alone may read. */
#ifndef DIPS_COMMON_NET_KEY_H
#define DIPS_COMMON_NET_KEY_H

#include "common/err.h"

#define NET_KEY_BYTES 32

typedef struct net_key {
    unsigned char bytes[NET_KEY_BYTES];
} net_key;

/* A key that there has not been before; net_key_forget. */
MUST_CHECK err_t net_key_new(net_key *k);

/* Leave no trace of it in memory. */
void net_key_forget(net_key *k);

/* Make the file path, mode 0600, of k. ERR_SYSTEM where it cannot be made, or there is one. */
MUST_CHECK err_t net_key_write(const net_key *k, const char *path);

/* Read the file path; net_key_forget. ERR_CONFIG names the file and what is wrong with it:
 * others may read or write it, or it holds something else. */
MUST_CHECK err_t net_key_read(net_key *k, const char *path);

#endif
