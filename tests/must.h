/* must - a call of dips that a test cannot go on without. Include after <cmocka.h>. */
#ifndef DIPS_TESTS_MUST_H
#define DIPS_TESTS_MUST_H

#include "common/err.h"

#define must(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK)                                                                      \
            fail_msg("%s: %s", #call, err_text());                                             \
    } while (0)

#endif
