/* Bytes on their way: in memory of ours, or of ZeroMQ's. */
#include <stdlib.h>
#include <string.h>

#include "common/net_state.h"

/* ThreadSanitizer does not see into ZeroMQ, so it is told here where a message passes
 * from one thread to another, and to leave the rest of ZeroMQ alone. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

#define HAND_OVER(bytes) __tsan_release(bytes)
#define TAKE_OVER(bytes) __tsan_acquire(bytes)

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\nrace:libzmq.so\n";
}
#else
#define HAND_OVER(bytes) ((void)(bytes))
#define TAKE_OVER(bytes) ((void)(bytes))
#endif

/* A message lies either in memory of malloc (owner == data), which a send hands over to
 * ZeroMQ as it is, or in a zmq_msg_t that was received (owner). */

err_t net_message_new(net_message *m, size_t size)
{
    void *data = malloc(size ? size : 1); /* aligned for any type */

    if (!data)
        return err_memory(size, "a message");
    *m = (net_message){.data = data, .size = size, .owner = data};
    return OK;
}

void net_message_clear(net_message *m)
{
    if (m->owner && m->owner != m->data) {
        HAND_OVER(m->data);
        zmq_msg_close(m->owner);
    }
    free(m->owner);
    *m = (net_message){0};
}

static void free_sent(void *data, void *hint)
{
    (void)hint;
    TAKE_OVER(data);
    free(data);
}

/* Move m into the zmq_msg_t that will be sent; m is empty then, also on failure. */
err_t net_message_to_zmq(zmq_msg_t *to, net_message *m)
{
    HAND_OVER(m->data);
    if (m->owner != m->data) {
        zmq_msg_init(to);
        zmq_msg_move(to, m->owner);
        net_message_clear(m);
        return OK;
    }
    if (zmq_msg_init_data(to, m->data, m->size, free_sent, NULL) != 0) {
        size_t size = m->size;
        net_message_clear(m);
        return err_memory(size, "a message to send");
    }
    *m = (net_message){0};
    return OK;
}

/* m, whose bytes are malloc's, with bytes that are a zmq_msg_t's, which counts its users. */
static err_t into_counted(net_message *m)
{
    zmq_msg_t *owner = malloc(sizeof *owner);

    if (!owner)
        return err_memory(sizeof *owner, "a message");
    if (zmq_msg_init_data(owner, m->data, m->size, free_sent, NULL) != 0) {
        free(owner);
        return err_memory(m->size, "a message");
    }
    HAND_OVER(m->data);
    m->owner = owner;
    return OK;
}

err_t net_message_share(net_message *to, net_message *from)
{
    if (from->owner == from->data)
        TRY(into_counted(from));
    zmq_msg_t *owner = malloc(sizeof *owner);
    if (!owner)
        return err_memory(sizeof *owner, "a message");
    zmq_msg_init(owner);
    zmq_msg_copy(owner, from->owner); /* small ones copy their bytes */
    *to = (net_message){zmq_msg_data(owner), zmq_msg_size(owner), owner};
    return OK;
}

/* Move a received zmq_msg_t into m; from is closed. Small messages may lie at any
 * address (in ZeroMQ's receive buffer): those are copied. */
err_t net_message_from_zmq(net_message *m, zmq_msg_t *from)
{
    zmq_msg_t *owner = NULL;
    err_t      err   = OK;

    TAKE_OVER(zmq_msg_data(from));
    if ((uintptr_t)zmq_msg_data(from) % 8 != 0) {
        err = net_message_new(m, zmq_msg_size(from));
        if (err == OK)
            memcpy(m->data, zmq_msg_data(from), m->size);
    } else if (!(owner = malloc(sizeof *owner))) {
        err = err_memory(sizeof *owner, "a message received");
    } else {
        zmq_msg_init(owner);
        zmq_msg_move(owner, from); /* small ones move their bytes: ask for data again */
        *m = (net_message){zmq_msg_data(owner), zmq_msg_size(owner), owner};
    }
    zmq_msg_close(from);
    return err;
}
