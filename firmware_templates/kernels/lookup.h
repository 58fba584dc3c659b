// Any function of one element, as a table that the host computed: of 8 bits whole, of 16 in lines. Element i is read, then written, in order:
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

// The same of a tensor that becomes rows of another: those of copy_rows in shape.h.
template <typename P, typename Input, typename Output>
void lookup_rows(const Input* input, Output* output, const Output* table) {
  static_assert(sizeof(Input) == 1, "a table has 256 entries");
  for (int32_t row = 0; row < P::kRows; ++row) {
    const Input* from = input + P::kInputOffset + row * P::kInputStep;
    Output* to = output + P::kOutputOffset + row * P::kOutputStep;
    for (int32_t i = 0; i < P::kRowElements; ++i) to[i] = table[static_cast<uint8_t>(from[i])];
  }
}

// Any function of one int16: from the lowest input on, lines through knots, one every 2^kShift inputs, and beyond the
// line kLeast and what `rest` has in kBits bits for each input.
template <typename P, typename Output>
void lookup_lines(const int16_t* input, Output* output, const Output* knots, const uint8_t* rest) {
  constexpr uint32_t kStep = uint32_t{1} << P::kShift;
  for (int32_t i = 0; i < P::kElements; ++i) {
    const uint32_t at = static_cast<uint32_t>(int32_t{input[i]} + 32768);
    const Output* knot = knots + (at >> P::kShift);
    const int32_t rise = int32_t{knot[1]} - knot[0];
    int32_t value = knot[0] + (rise * static_cast<int32_t>(at & (kStep - 1)) >> P::kShift) + P::kLeast;
    if (P::kBits > 0) {
      const uint32_t bit = at * P::kBits;
      value += (rest[bit >> 3] >> (bit & 7)) & ((1 << P::kBits) - 1);
    }
    output[i] = static_cast<Output>(value);
  }
}

}  // namespace tinydeploy
