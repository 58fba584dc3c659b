// An image as the ROM of Espressif's chips reads it from flash: ESP32-C3 Technical Reference Manual 7.2, and "Firmware Image
// Format" of esptool's documentation. The header counts only the segments that the ROM loads to RAM (esptool's
// --ram-only-header); those that are read in place follow behind the checksum.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// Where in the image the segment for `address` begins, or 0 if none does before `limit`.
inline uint32_t segment_offset(const uint8_t* image, uint32_t limit, uint32_t address) {
  constexpr uint32_t kHeader = 24, kSegmentHeader = 8, kChecksumBlock = 16;
  const auto word = [image](uint32_t at) { return *reinterpret_cast<const uint32_t*>(image + at); };
  uint32_t at = kHeader;
  for (uint32_t left = image[1]; left > 0 && at < limit; --left) at += kSegmentHeader + word(at + 4);
  at = (at | (kChecksumBlock - 1)) + 1;
  while (at + kSegmentHeader <= limit) {
    if (word(at) == address) return at + kSegmentHeader;
    at += kSegmentHeader + word(at + 4);
  }
  return 0;
}

}  // namespace tinydeploy
