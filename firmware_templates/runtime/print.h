// Lines of text on the link, from firmware that does not serve tinydeploy's host.
#pragma once

#include <stdint.h>

namespace tinydeploy {

void print(const char* text);
void print(uint64_t number, uint32_t base = 10, uint32_t digits = 1);  // `digits` at least

}  // namespace tinydeploy
