// FULLY_CONNECTED of one row of int8 on cores that multiply one pair of numbers at a time: a multiplication serves
// two channels.
//
// The weights of four channels for an input are a word of bytes w + 128. Two of them, 16 bits apart, are the packed
// factors of packed.h; 128 times the sum of a run's inputs, which is the same for all channels, makes the bytes
// weights again. Only a word's odd bytes are taken out by a shift and a mask. It is multiplied as it is, too, and the
// packed sum of its even bytes is the difference: word = even + 2^8 * odd.
//
// The excess of a block of channels is a list of input * 2^11 + channel * 2^8 + the weight's byte, that a zero ends.
//
// Channels that are left over come as bytes, one after the other. All inputs are read before a block's outputs are
// written.
#pragma once

#include <stdint.h>

#include "packed.h"

namespace tinydeploy {

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
    *starts++ = static_cast<int32_t>(kHalf - kOffset * total);
  }
}

// The sums over all runs of a word's channels.
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
  // It started at kHalf, so that it need not be rounded.
  void add_to(PackedWord& sums) const {
    sums.odd.add_rounded(odd);
    sums.even.add_rounded(whole - (odd << 8));
  }
};

// A run of kRun inputs, and kWords words of weights for each. Instructions for a run of eight: on RISC-V, two words,
// 146 for 64 products; on a Cortex-M3, one word, 45 for 32; on a Cortex-M0+, two words, 166 for 64.
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
    int32_t words[2];
    load_words(weights, words);
    repeat<2>([&](auto j) __attribute__((always_inline)) {
      if (j % kWords == 0) x = load_next(input);
      run[j % kWords].multiply(static_cast<uint32_t>(words[j]), x, mask);
    });
  });
  repeat<kWords>([&](auto j) __attribute__((always_inline)) { run[j].add_to(sums[j]); });
#endif
}

// The sums of 4 * kWords channels: of `length` inputs, and the bias.
template <int32_t kRun, int32_t kWords>
[[gnu::noinline]] void sum_runs(const int8_t* input, int32_t length, const int8_t* weights, const int32_t* starts,
                                const int32_t* bias, uint32_t (&sums)[4 * kWords]) {
  const uint32_t halves = (static_cast<uint32_t>(length) + kRun - 1) / kRun * kHalf;
  PackedWord words[kWords];
  repeat<kWords>([&](auto j) __attribute__((always_inline)) {
    const auto start = [&](int32_t byte) { return static_cast<uint32_t>(bias[4 * j + byte]); };
    words[j] = {PackedPair::of(start(1) - halves, start(3)), PackedPair::of(start(0) - halves, start(2))};
  });
  uint32_t mask = kOddBytes;
  asm("" : "+r"(mask));  // stays in a register
  for (; length >= kRun; length -= kRun) multiply_run<kRun>(input, weights, starts, mask, words);
  if (length > 0) {
    repeat<kWords>([&](auto j) __attribute__((always_inline)) {
      PackedRun run(static_cast<uint32_t>(*starts));
      for (int32_t i = 0; i < length; ++i) {
        const int8_t* from = weights + 4 * (kWords * i + j);
        int32_t word[1];
        load_words(from, word);
        run.multiply(static_cast<uint32_t>(word[0]), input[i], mask);
      }
      run.add_to(words[j]);
    });
  }
  repeat<kWords>([&](auto j) __attribute__((always_inline)) {
    sums[4 * j] = words[j].even.low();
    sums[4 * j + 1] = words[j].odd.low();
    sums[4 * j + 2] = words[j].even.high;
    sums[4 * j + 3] = words[j].odd.high;
  });
}

template <typename P>
inline void fully_connected_packed(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   const int32_t* multiplier, const int8_t* shift, const uint32_t* excess,
                                   int32_t* starts, int8_t* output) {
  constexpr int32_t kBlock = P::kBlockChannels;
  int32_t channel = 0;
  if constexpr (P::kOutputDepth >= kBlock) {
    start_runs<P::kRun>(input, P::kInputDepth, starts);
    for (; channel + kBlock <= P::kOutputDepth; channel += kBlock, weights += kBlock * P::kInputDepth) {
      uint32_t sums[kBlock];
      sum_runs<P::kRun, kBlock / 4>(input, P::kInputDepth, weights, starts, bias + channel, sums);
      if constexpr (P::kExcess) {
        for (uint32_t entry; (entry = *excess++) != 0;) {
          sums[entry >> 8 & 7] += static_cast<uint32_t>(static_cast<int8_t>(entry) * input[entry >> 11]);
        }
      }
#pragma GCC unroll 8
      for (int32_t i = 0; i < kBlock; ++i) {
        output[channel + i] = ScalarRequantization<P>(multiplier, shift, channel + i)(sums[i]);
      }
    }
  }
  if constexpr (P::kOutputDepth % kBlock > 0) {
    uint32_t sums[P::kOutputDepth % kBlock];
    for (uint32_t& sum : sums) {
      sum = static_cast<uint32_t>(bias[channel++]);
#pragma GCC unroll 4
      for (int32_t i = 0; i < P::kInputDepth; ++i) sum += static_cast<uint32_t>(input[i] * *weights++);
    }
    channel = P::kOutputDepth / kBlock * kBlock;
    for (const uint32_t sum : sums) {
      output[channel] = ScalarRequantization<P>(multiplier, shift, channel)(sum);
      ++channel;
    }
  }
}

}  // namespace tinydeploy
