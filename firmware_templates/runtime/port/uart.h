// A UART, polled, at 115200 baud 8N1. One driver, uart_<what>.cpp, is linked in.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace uart {

// After clock::start().
void open();

bool readable();
uint8_t take();

bool writable();
void put(uint8_t byte);

}  // namespace uart
}  // namespace tinydeploy
