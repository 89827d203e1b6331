/* room - the one folder of a test program, made before its tests and removed after them.
 *
 *     write_text(inside("list"), "1\n2\n");
 *     return cmocka_run_group_tests(tests, room_open, room_close);
 *
 * Include after <cmocka.h>. */
#ifndef DIPS_TESTS_ROOM_H
#define DIPS_TESTS_ROOM_H

#include "tests/folder.h"

static char room[64];

static inline int room_open(void **unused)
{
    (void)unused;
    folder_make(room);
    return 0;
}

static inline int room_close(void **unused)
{
    (void)unused;
    folder_remove(room);
    return 0;
}

/* The path of name in the room; lent until the eighth call from now. */
static inline const char *inside(const char *name)
{
    static char path[8][512];
    static int  turn;

    turn = (turn + 1) % 8;
    assert_true(snprintf(path[turn], sizeof path[turn], "%s/%s", room, name) <
                (int)sizeof path[turn]);
    return path[turn];
}

#endif
