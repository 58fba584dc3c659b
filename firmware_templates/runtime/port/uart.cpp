// The link over the board's UART.
#include "board.h"

#if TINYDEPLOY_LINK_UART

#include "../frame.h"
#include "link.h"
#include "uart.h"

namespace tinydeploy {
namespace {

constexpr uint32_t kFrames = board::kRamBytes < 16 * 1024 ? 2 : 4;
constexpr uint32_t kRing = kFrames * frame::kMaxFrame;  // a power of two
uint8_t ring[kRing];
uint32_t put_at, take_at;

// Moves what has arrived to the ring. A byte for which there is no room is lost, and its frame with it.
void receive() {
  while (uart::readable()) {
    const uint8_t byte = uart::take();
    if (put_at - take_at < kRing) ring[put_at++ % kRing] = byte;
  }
}

}  // namespace

namespace link {

const uint8_t kWindow = kFrames;

void open() {
  uart::open();
  // Drops what came too early. QEMU, if it has been refusing bytes so far, asks again only after a read.
  uart::take();
}

size_t read(uint8_t* data, size_t bytes) {
  do receive();
  while (put_at == take_at);
  size_t count = 0;
  while (count < bytes && take_at != put_at) data[count++] = ring[take_at++ % kRing];
  return count;
}

void write(const uint8_t* data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    while (!uart::writable()) receive();  // the host may be sending the next frames meanwhile
    uart::put(data[i]);
  }
}

}  // namespace link
}  // namespace tinydeploy

#endif
