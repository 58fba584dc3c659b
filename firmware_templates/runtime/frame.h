// Frames of the link: kind, number, payload and CRC-32, stuffed with COBS, ended by a zero byte.
// docs/protocol.md describes them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tinydeploy {
namespace frame {

constexpr size_t kMaxPayload = 244;
constexpr size_t kHeader = 2;   // kind, and the number's lowest byte
constexpr size_t kTrailer = 8;  // the number's other four bytes, CRC
constexpr size_t kMaxBody = kHeader + kMaxPayload + kTrailer;  // 254: COBS then costs exactly one byte
constexpr size_t kMaxFrame = kMaxBody + 2;                     // that byte, and the zero at the end

inline uint16_t load16(const uint8_t* from) { return static_cast<uint16_t>(from[0] | from[1] << 8); }
inline uint32_t load32(const uint8_t* from) {
  return load16(from) | static_cast<uint32_t>(load16(from + 2)) << 16;
}
inline void store32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

// CRC-32 of ISO-HDLC, the one of zlib.
uint32_t crc32(const uint8_t* data, size_t bytes);

// Writes the frame of body[0, bytes) (kind, a byte for the number, payload) to `frame`, which has room for
// kMaxFrame bytes; returns its length. `body` has room for the trailer, which is appended to it.
size_t encode(uint8_t* body, size_t bytes, uint64_t number, uint8_t* frame);

// Takes a stream of bytes apart, one at a time.
class Decoder {
 public:
  // True if `byte` ended an intact frame, whose content is then valid until the next call.
  bool push(uint8_t byte);

  uint8_t kind() const { return body_[0]; }
  uint64_t number() const { return body_[1] | static_cast<uint64_t>(load32(body_ + bytes_ - kTrailer)) << 8; }
  const uint8_t* payload() const { return body_ + kHeader; }
  size_t payload_bytes() const { return bytes_ - kHeader - kTrailer; }

  // How many frames were dropped because they were damaged.
  uint32_t bad_frames() const { return bad_frames_; }
  void forget_bad_frames() { bad_frames_ = 0; }

 private:
  bool finish();

  uint8_t body_[kMaxBody] = {};
  size_t bytes_ = 0;
  uint8_t left_in_block_ = 0;  // bytes until the next COBS code byte
  bool zero_due_ = false;      // the block before that code byte stands for a zero after it
  bool started_ = false;       // something has come since the last delimiter
  bool broken_ = false;
  uint32_t bad_frames_ = 0;
};

}  // namespace frame
}  // namespace tinydeploy
