// Any function of one 8-bit element, as a table that the host computed. Element i is read, then written, in order:
// the output may lie over the input.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// output[i] = table[input[i]] over P::kElements; the table is ordered by the element's bits taken as unsigned,
// so that of int8 the entries 128..255 come from -128..-1.
template <typename P, typename Input, typename Output>
void lookup(const Input* input, Output* output, const Output* table) {
  static_assert(sizeof(Input) == 1, "a table has 256 entries");
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = table[static_cast<uint8_t>(input[i])];
  }
}

}  // namespace tinydeploy
