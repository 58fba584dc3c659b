// Diagnostics: lines of text that reach the host between the answers and never inside one.
#pragma once

#include <stdarg.h>

namespace tinydeploy {

// Knows %d, %u, %x, %c, %s and %%, for int-sized arguments; what does not fit a frame is cut off.
void log(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Takes formats from elsewhere too: widths and length modifiers are passed over, a %f shows as "?".
void vlog(const char* format, va_list arguments);

}  // namespace tinydeploy
