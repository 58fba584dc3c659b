// The device's side of the protocol: takes requests from the link, in order and each one once, and answers them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tinydeploy {

[[noreturn]] void serve();

// The number of the request that is being executed, or else comes next; 0 before the host has said hello.
uint64_t request_due();

// Sends a line of text in a frame of its own; does nothing before the host has said hello.
void send_log(const char* text, size_t bytes);

}  // namespace tinydeploy
