// What TensorFlow Lite Micro has to say goes to the host as log lines.
#include "tensorflow/lite/micro/debug_log.h"

#include <stdarg.h>
#include <stddef.h>

#include "log.h"

extern "C" {

#if __has_include("tensorflow/lite/micro/micro_string.h")

// Until 2023 the library formatted its messages itself.
void DebugLog(const char* text) { tinydeploy::log("%s", text); }

#else

void DebugLog(const char* format, va_list arguments) { tinydeploy::vlog(format, arguments); }

// For applications that print through the library, which this one does not.
int DebugVsnprintf(char* buffer, size_t bytes, const char*, va_list) {
  if (bytes > 0) buffer[0] = '\0';
  return 0;
}

#endif

}  // extern "C"
