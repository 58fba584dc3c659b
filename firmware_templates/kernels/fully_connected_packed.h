// FULLY_CONNECTED of one row of int8 on cores that multiply one pair of numbers at a time: a multiplication serves
// two channels.
//
// The weights of four channels for an input are a word of bytes w + 128. Two of them, 16 bits apart, times the input
// make two products in one, and the sum over a run of inputs is 2^16 * high + low modulo 2^32. Less 128 times the sum
// of the run's inputs, for both, low is the channel's true sum. The host has made sure (packed.py) that it lies
// within 2^15 of zero, because it has taken from large weights what a run cannot hold: the excess, which is added at
// last. So with 2^15 on top, an arithmetic shift gives high, exactly. High goes to a sum of its own; low follows
// in the end from the sum of all that was packed, less 2^16 times that of high.
//
// Of a word, only the odd bytes are taken out by a shift and a mask. It is multiplied as it is, too, and the packed sum
// of its even bytes is the difference: word = even + 2^8 * odd.
//
// Channels that are left over come as bytes, as for fully_connected_scalar. All inputs are read before a block's
// outputs are written.
#pragma once

#include <stdint.h>

#include "conv_scalar.h"

namespace tinydeploy {

constexpr uint32_t kMiddleOfLow = 1 << 15;
constexpr uint32_t kOddBytes = 0x00FF00FF;  // of a word that was shifted

// What the packed sums of each run of up to kRun inputs start at.
template <int32_t kRun>
[[gnu::noinline]] void start_runs(const int8_t* input, int32_t length, int32_t* starts) {
  constexpr uint32_t kOffset = 0x00800080;
  for (; length > 0; length -= kRun) {
    uint32_t total = 0;
    if (length >= kRun) {
      repeat<kRun>([&](auto) __attribute__((always_inline)) { total += static_cast<uint32_t>(load_next(input)); });
    } else {
      for (int32_t i = 0; i < length; ++i) total += static_cast<uint32_t>(input[i]);
    }
    *starts++ = static_cast<int32_t>(kMiddleOfLow - kOffset * total);
  }
}

// The sums over all runs of two channels that are multiplied at once: of what was packed, and of high.
struct PackedPair {
  uint32_t packed;
  uint32_t high;

  void add(uint32_t run) {
    packed += run;
    high += static_cast<uint32_t>(static_cast<int32_t>(run) >> 16);
  }
  uint32_t low() const { return packed - (high << 16); }
};
struct PackedWord {
  PackedPair odd;
  PackedPair even;
};

// The packed sums of one run of a word's channels: of its odd bytes, and of all.
struct PackedRun {
  uint32_t odd;
  uint32_t whole;

  explicit PackedRun(uint32_t start) : odd(start), whole(start + (start << 8)) {}
  void multiply(uint32_t word, int32_t x, uint32_t mask) {
    add_product(whole, static_cast<int32_t>(word), x);
    add_product(odd, static_cast<int32_t>(word >> 8 & mask), x);
  }
  void add_to(PackedWord& sums) const {
    sums.odd.add(odd);
    sums.even.add(whole - (odd << 8));
  }
};

[[gnu::always_inline]] inline uint32_t load_word(const int8_t* from) {
  uint32_t word;
  __builtin_memcpy(&word, __builtin_assume_aligned(from, 4), 4);
  return word;
}
[[gnu::always_inline]] inline void load_two(const int8_t*& from, uint32_t (&words)[2]) {
#if defined(__thumb2__)
  asm volatile("ldrd %0, %1, [%2], #8" : "=r"(words[0]), "=r"(words[1]), "+r"(from) : : "memory");
#elif defined(__riscv)
  asm volatile("lw %0, %1" : "=r"(words[0]) : "m"(*reinterpret_cast<const int32_t*>(from)));
  asm volatile("lw %0, %1" : "=r"(words[1]) : "m"(*reinterpret_cast<const int32_t*>(from + 4)));
  from += 8;
#else
  __builtin_memcpy(words, from, 8);
  from += 8;
#endif
}

// A run of kRun inputs, and kWords words of weights for each. Instructions for a run of eight: on RISC-V, two words,
// 142 for 64 products; on a Cortex-M3, one word, 45 for 32; on a Cortex-M0+, two words, 162 for 64.
template <int32_t kRun, int32_t kWords>
[[gnu::always_inline]] inline void multiply_run(const int8_t*& input, const int8_t*& weights, const int32_t*& starts,
                                                uint32_t mask, PackedWord (&sums)[kWords]) {
#if defined(__ARM_ARCH_6M__)
  static_assert(kWords == 2);
  // GCC gives sums of a run registers that it cannot calculate in, and keeps those over all runs in memory.
  uint32_t odd0, whole0, odd1, whole1;
  PackedWord* const into = sums;
  asm volatile(
      ".syntax unified\n"
      "ldm   %[starts]!, {r0}\n"
      "mov   %[odd0], r0\n"
      "mov   %[odd1], r0\n"
      "lsls  r1, r0, #8\n"
      "adds  r0, r0, r1\n"
      "mov   %[whole0], r0\n"
      "mov   %[whole1], r0\n"
      : [starts] "+l"(starts), [odd0] "=h"(odd0), [whole0] "=h"(whole0), [odd1] "=h"(odd1), [whole1] "=h"(whole1)
      :
      : "r0", "r1", "cc", "memory");
  repeat<kRun>([&](auto k) __attribute__((always_inline)) {
    asm volatile(
        ".syntax unified\n"
        "ldrb  r3, [%[input], %[k]]\n"
        "ldm   %[weights]!, {r0, r1}\n"
        "sxtb  r3, r3\n"
        "lsrs  r2, r0, #8\n"
        "ands  r2, r2, %[mask]\n"
        "muls  r0, r3, r0\n"
        "muls  r2, r3, r2\n"
        "add   %[whole0], r0\n"
        "add   %[odd0], r2\n"
        "lsrs  r2, r1, #8\n"
        "ands  r2, r2, %[mask]\n"
        "muls  r1, r3, r1\n"
        "muls  r2, r3, r2\n"
        "add   %[whole1], r1\n"
        "add   %[odd1], r2\n"
        : [weights] "+l"(weights), [odd0] "+h"(odd0), [whole0] "+h"(whole0), [odd1] "+h"(odd1), [whole1] "+h"(whole1)
        : [input] "l"(input), [mask] "l"(mask), [k] "i"(int32_t{k})
        : "r0", "r1", "r2", "r3", "cc", "memory");
  });
  input += kRun;
#define TINYDEPLOY_ADD(odd, whole) \
  "ldm   r3!, {r0, r1}\n"          \
  "mov   r2, %[" odd "]\n"         \
  "adds  r0, r0, r2\n"             \
  "asrs  r2, r2, #16\n"            \
  "adds  r1, r1, r2\n"             \
  "subs  r3, r3, #8\n"             \
  "stm   r3!, {r0, r1}\n"          \
  "mov   r2, %[" odd "]\n"         \
  "mov   r0, %[" whole "]\n"       \
  "lsls  r2, r2, #8\n"             \
  "subs  r2, r0, r2\n"             \
  "ldm   r3!, {r0, r1}\n"          \
  "adds  r0, r0, r2\n"             \
  "asrs  r2, r2, #16\n"            \
  "adds  r1, r1, r2\n"             \
  "subs  r3, r3, #8\n"             \
  "stm   r3!, {r0, r1}\n"
  asm volatile(".syntax unified\n"
               "ldr   r3, %[sums]\n" TINYDEPLOY_ADD("odd0", "whole0") TINYDEPLOY_ADD("odd1", "whole1")
               :
               : [sums] "m"(into), [odd0] "h"(odd0), [whole0] "h"(whole0), [odd1] "h"(odd1), [whole1] "h"(whole1)
               : "r0", "r1", "r2", "r3", "cc", "memory");
#undef TINYDEPLOY_ADD
#else
  const uint32_t start = static_cast<uint32_t>(*starts++);
  PackedRun run[2] = {PackedRun(start), PackedRun(start)};
  int32_t x = 0;
  repeat<kRun * kWords / 2>([&](auto) __attribute__((always_inline)) {
    uint32_t words[2];
    load_two(weights, words);
    repeat<2>([&](auto j) __attribute__((always_inline)) {
      if (j % kWords == 0) x = load_next(input);
      run[j % kWords].multiply(words[j], x, mask);
    });
  });
  repeat<kWords>([&](auto j) __attribute__((always_inline)) { run[j].add_to(sums[j]); });
#endif
}

// The sums of 4 * kWords channels: of `length` inputs, and the bias.
template <int32_t kRun, int32_t kWords>
[[gnu::noinline]] void sum_runs(const int8_t* input, int32_t length, const int8_t* weights, const int32_t* starts,
                                const int32_t* bias, uint32_t (&sums)[4 * kWords]) {
  const uint32_t middles = (static_cast<uint32_t>(length) + kRun - 1) / kRun * kMiddleOfLow;
  PackedWord words[kWords];
  repeat<kWords>([&](auto j) __attribute__((always_inline)) { words[j] = {{-middles, 0}, {-middles, 0}}; });
  uint32_t mask = kOddBytes;
  asm("" : "+r"(mask));  // stays in a register
  for (; length >= kRun; length -= kRun) multiply_run<kRun>(input, weights, starts, mask, words);
  if (length > 0) {
    repeat<kWords>([&](auto j) __attribute__((always_inline)) {
      PackedRun run(static_cast<uint32_t>(*starts));
      for (int32_t i = 0; i < length; ++i) run.multiply(load_word(weights + 4 * (kWords * i + j)), input[i], mask);
      run.add_to(words[j]);
    });
  }
  repeat<kWords>([&](auto j) __attribute__((always_inline)) {
    const int32_t c = 4 * j;
    sums[c] = words[j].even.low() + static_cast<uint32_t>(bias[c]);
    sums[c + 1] = words[j].odd.low() + static_cast<uint32_t>(bias[c + 1]);
    sums[c + 2] = words[j].even.high + static_cast<uint32_t>(bias[c + 2]);
    sums[c + 3] = words[j].odd.high + static_cast<uint32_t>(bias[c + 3]);
  });
}

// `excess` lists, block by block and ended by a zero, what is to be added: input * 2^11 + channel * 2^8 + an int8.
template <typename P>
inline void fully_connected_packed(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   const int32_t* multiplier, const int8_t* shift, const uint32_t* excess,
                                   int32_t* starts, int8_t* output) {
  constexpr int32_t kBlock = P::kBlockChannels;
  constexpr int32_t kRest = P::kOutputDepth % kBlock;
  start_runs<P::kRun>(input, P::kInputDepth, starts);
  int32_t channel = 0;
  for (; channel + kBlock <= P::kOutputDepth; channel += kBlock, weights += kBlock * P::kInputDepth) {
    uint32_t sums[kBlock];
    sum_runs<P::kRun, kBlock / 4>(input, P::kInputDepth, weights, starts, bias + channel, sums);
    if (P::kExcess) {
      for (uint32_t entry; (entry = *excess++) != 0;) {
        sums[entry >> 8 & 7] += static_cast<uint32_t>(static_cast<int8_t>(entry) * input[entry >> 11]);
      }
    }
#pragma GCC unroll 8
    for (int32_t i = 0; i < kBlock; ++i) {
      output[channel + i] = ScalarRequantization<P>(multiplier, shift, channel + i)(sums[i]);
    }
  }
  if constexpr (kRest > 0) {
    convolve_block<P, P::kInputDepth, P::kInputDepth, kRest, 1>(input, weights, bias, multiplier, shift, channel, output);
  }
}

}  // namespace tinydeploy
