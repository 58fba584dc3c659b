#include "stack.h"

#include "startup.h"

namespace tinydeploy {
namespace stack {

uint32_t high_water_bytes() {
  const uint32_t* word = __stack_start;
  while (word < __stack_end && *word == kStackPaint) ++word;
  return static_cast<uint32_t>(__stack_end - word) * 4;
}

}  // namespace stack
}  // namespace tinydeploy
