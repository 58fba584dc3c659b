// What an Xtensa core was configured with: XCHAL_HAVE_… as its toolchain has them, for an ESP32 in ESP-IDF's header.
// Without it, as for the LX106, a core is taken to have the least: undefined is 0.
#pragma once

#if defined(__XTENSA__) && defined(__has_include)
#if __has_include(<xtensa/config/core-isa.h>)
#include <xtensa/config/core-isa.h>
#endif
#endif
