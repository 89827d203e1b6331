/* In the place of unordered.cc where there is no C++ compiler. */
#include "tests/bench/rows/contender.h"

contender contender_unordered(int dim)
{
    (void)dim;
    return (contender){.name = "unordered_map"};
}
