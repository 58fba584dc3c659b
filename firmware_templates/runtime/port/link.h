// The byte stream to the host. One driver is linked in: a UART, or the semihosting console.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tinydeploy {
namespace link {

// How many frames may be on their way to the device before it has answered the first.
extern const uint8_t kWindow;

void open();

// Waits for at least one byte; returns how many came, at most `bytes`.
size_t read(uint8_t* data, size_t bytes);

void write(const uint8_t* data, size_t bytes);

}  // namespace link
}  // namespace tinydeploy
