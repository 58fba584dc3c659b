// Any function of one element, as a table that the host computed: of 8 bits whole, of 16 in lines. Element i is read,
// then written, in order: the output may lie over the input.
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

// Any function of one int16. Each 256 inputs, from the lowest on, have lines through knots of their own, one every
// 2^shift inputs and one for the input behind them, and how much each is above its line. `starts` say where in `blocks`
// they are: the shift + 16 * the bits of what is above, the least of that, the knots, and for each input what is above
// the least, in words of 16 bits.
template <typename P, typename Output>
void lookup_blocks(const int16_t* input, Output* output, const uint16_t* starts, const int16_t* blocks) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    const uint32_t at = static_cast<uint32_t>(int32_t{input[i]} + 32768);
    const int16_t* block = blocks + starts[at >> 8];
    const uint32_t inside = at & 255;
    const uint32_t shift = block[0] & 15;
    const uint32_t bits = block[0] >> 4;
    const int16_t* knots = block + 2;
    const int16_t* knot = knots + (inside >> shift);
    const int32_t rise = int32_t{knot[1]} - knot[0];
    const int32_t along = static_cast<int32_t>(inside & ((uint32_t{1} << shift) - 1));
    int32_t value = knot[0] + (rise * along >> shift) + block[1];
    if (bits > 0) {
      const int16_t* rest = knots + (uint32_t{256} >> shift) + 1;
      const uint32_t bit = inside * bits;
      value += (uint32_t{static_cast<uint16_t>(rest[bit >> 4])} >> (bit & 15)) & ((uint32_t{1} << bits) - 1);
    }
    output[i] = static_cast<Output>(value);
  }
}

}  // namespace tinydeploy
