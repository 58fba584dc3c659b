#include "frame.h"

namespace tinydeploy {
namespace frame {

uint32_t crc32(const uint8_t* data, size_t bytes) {
  // Four bits at a time: sixteen words of table instead of 256.
  static constexpr uint32_t kTable[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < bytes; ++i) {
    crc ^= data[i];
    crc = kTable[crc & 15] ^ (crc >> 4);
    crc = kTable[crc & 15] ^ (crc >> 4);
  }
  return ~crc;
}

size_t encode(uint8_t* body, size_t bytes, uint64_t number, uint8_t* frame) {
  body[1] = static_cast<uint8_t>(number);
  store32(body + bytes, static_cast<uint32_t>(number >> 8));
  bytes += 4;
  store32(body + bytes, crc32(body, bytes));
  bytes += 4;
  // A code byte says where the next zero would be. A body of at most 254 bytes has no other block ends.
  size_t code_at = 0;
  size_t length = 1;
  for (size_t i = 0; i < bytes; ++i) {
    if (body[i] != 0) {
      frame[length++] = body[i];
    } else {
      frame[code_at] = static_cast<uint8_t>(length - code_at);
      code_at = length++;
    }
  }
  frame[code_at] = static_cast<uint8_t>(length - code_at);
  frame[length++] = 0;
  return length;
}

bool Decoder::push(uint8_t byte) {
  if (byte == 0) return finish();
  if (!started_) {
    started_ = true;
    broken_ = zero_due_ = false;
    bytes_ = 0;
    left_in_block_ = 0;
  }
  if (broken_) return false;
  if (left_in_block_ > 0) {
    --left_in_block_;
    if (bytes_ < kMaxBody) {
      body_[bytes_++] = byte;
    } else {
      broken_ = true;
    }
    return false;
  }
  if (zero_due_) {
    if (bytes_ < kMaxBody) {
      body_[bytes_++] = 0;
    } else {
      broken_ = true;
    }
  }
  left_in_block_ = static_cast<uint8_t>(byte - 1);
  zero_due_ = byte != 0xff;
  return false;
}

bool Decoder::finish() {
  if (!started_) return false;  // zeros between frames mean nothing
  started_ = false;
  const bool intact = !broken_ && left_in_block_ == 0 && bytes_ >= kHeader + kTrailer &&
                      load32(body_ + bytes_ - 4) == crc32(body_, bytes_ - 4);
  if (!intact) ++bad_frames_;
  return intact;
}

}  // namespace frame
}  // namespace tinydeploy
