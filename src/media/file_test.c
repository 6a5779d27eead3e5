#include "media/test_rig.h"
TEST(x)
{
    fix_init();
    fix_deinit();
    (void)share;
    (void)info_as;
    (void)says;
}
