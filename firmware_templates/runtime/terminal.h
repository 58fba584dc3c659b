// Tells a person at a terminal from a host, and answers the person with a line.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "build_id.h"
#include "port/link.h"

namespace tinydeploy {
namespace terminal {

// A host's frame begins with a code byte, in any request below ' ', and with its kind, of at most 8; a zero ends it.
// So what begins as text is typed. A line end may be a code byte, though: once a host has spoken, it takes two bytes.
class Listener {
 public:
  // Whether `byte` is to be answered, which is so once for each line.
  bool is_typed(uint8_t byte) {
    const bool is_text = is_end(byte) || (byte >= ' ' && byte <= '~');
    if (is_end(last_) && !(last_ == '\r' && byte == '\n')) is_answered_ = false;
    bool typed = is_text;
    if (text_ != bytes_) {
      typed = !host_ && is_end(byte) && is_end(last_);  // after a control key, say
    } else if (host_) {
      typed = is_end(byte) && text_ > 0;
    }
    typed = typed && !is_answered_;
    is_answered_ = is_answered_ || typed;
    last_ = byte;
    if (byte == 0) {
      host_ = host_ || text_ != bytes_;
      bytes_ = text_ = 0;
    } else {
      ++bytes_;
      text_ = is_text ? text_ + 1 : 0;
    }
    return typed;
  }

 private:
  static bool is_end(uint8_t byte) { return byte == '\r' || byte == '\n'; }

  uint32_t bytes_ = 0;  // since the last zero
  uint32_t text_ = 0;   // of them, how many at the end are text
  uint8_t last_ = 0;
  bool is_answered_ = false;
  bool host_ = false;  // something that is no text has ended with a zero
};

// Takes each byte that has come before it is looked at as a part of a frame.
inline void hear(uint8_t byte) {
  static Listener listener;
  if (listener.is_typed(byte)) {
    link::write(reinterpret_cast<const uint8_t*>(kIntroduction), sizeof(kIntroduction) - 1);
  }
}

}  // namespace terminal
}  // namespace tinydeploy
