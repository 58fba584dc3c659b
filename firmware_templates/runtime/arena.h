// The memory that the engine works in, painted so that its use and abuse can be seen.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tinydeploy {
namespace arena {

// The arena and the bytes after it are filled with a pattern that depends on the place, which no tensor has by
// chance.
struct Usage {
  uint32_t touched_bytes;     // how many bytes, in words, are no longer as they were painted
  uint32_t high_water_bytes;  // from the start to the last of them
  bool overrun;               // something before or after the arena was written
};

// The port's, where an arena lies outside of the chip; null if there is no such memory.
void* from_psram(size_t bytes, size_t alignment);

uint8_t* begin();

// The largest size that paint() takes.
uint32_t capacity();

// Paints everything, for an arena of `bytes` bytes.
void paint(uint32_t bytes);

// Since paint().
Usage usage();

}  // namespace arena
}  // namespace tinydeploy
