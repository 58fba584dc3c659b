// An engine whose inference runs every layer on its samples. The output is a CRC-32 of each sample's outputs, or 0
// where the layer failed or wrote beyond its arena. Values are those of native.random_samples().
#include "layers.h"
#include "runtime/frame.h"

namespace tinydeploy {
namespace {

constexpr uint32_t kSamples = LAYER_SAMPLES;
constexpr uint32_t kGuard = 32;  // bytes before and after a layer's arena
constexpr uint8_t kPaint = 0xA5;

uint8_t* memory;

uint64_t hash(uint64_t x) {
  x = (x ^ (x >> 33)) * UINT64_C(0xff51afd7ed558ccd);
  return x ^ (x >> 33);
}

void fill(const Span& span, const Fill& how, uint64_t seed, uint32_t sample) {
  for (uint32_t i = 0; i * how.bytes < span.bytes; ++i) {
    const uint64_t drawn = hash(seed + i + 1);
    const uint64_t step = sample == 0 ? 0 : sample == 1 ? how.span - 1 : how.span == 0 ? drawn : drawn % how.span;
    const int64_t value = static_cast<int64_t>(static_cast<uint64_t>(how.low) + step);
    uint8_t* to = span.data + i * how.bytes;
    if (how.is_float) {
      const float real = static_cast<float>(static_cast<int32_t>(value)) / 16;
      __builtin_memcpy(to, &real, sizeof(real));
    } else {
      for (uint8_t byte = 0; byte < how.bytes; ++byte) to[byte] = static_cast<uint8_t>(value >> (8 * byte));
    }
  }
}

bool is_intact(const Layer& layer) {
  const uint8_t* end = memory + kGuard + layer.arena_bytes;
  for (uint32_t i = 0; i < kGuard; ++i) {
    if (memory[i] != kPaint || end[i] != kPaint) return false;
  }
  return true;
}

void run(const Layer& layer, uint32_t* crcs) {
  __builtin_memset(memory, kPaint, layer.arena_bytes + 2 * kGuard);
  if (layer.setup(memory + kGuard, layer.arena_bytes) != Status::kOk) return;
  for (uint32_t sample = 0; sample < kSamples; ++sample) {
    for (uint32_t i = 0; i < layer.description.inputs; ++i) {
      const uint64_t seed = ((static_cast<uint64_t>(layer.seed) * 64 + i) * 256 + sample) << 20;
      fill(layer.input(i), layer.fills[i], seed, sample);
    }
    if (layer.invoke() != Status::kOk || !is_intact(layer)) return;
    for (uint32_t i = 0; i < layer.description.outputs; ++i) {
      const Span output = layer.output(i);
      crcs[sample] = crcs[sample] * 31 + frame::crc32(output.data, output.bytes);
    }
  }
}

uint32_t results[LAYER_COUNT * kSamples];

}  // namespace

namespace engine {

extern const Description kDescription = {"aot", {}, 0, 1, 1};

Status setup(uint8_t* arena, size_t arena_bytes) {
  memory = arena;
  for (uint32_t i = 0; i < kLayerCount; ++i) {
    if (kLayers[i]->arena_bytes + 2 * kGuard > arena_bytes) return Status::kArenaTooSmall;
  }
  return Status::kOk;
}

Span input(uint32_t) { return {nullptr, 0}; }
Span output(uint32_t) { return {reinterpret_cast<uint8_t*>(results), sizeof(results)}; }

void set_hook(OpHook) {}

Status invoke() {
  __builtin_memset(results, 0, sizeof(results));
  for (uint32_t i = 0; i < kLayerCount; ++i) run(*kLayers[i], results + i * kSamples);
  return Status::kOk;
}

void reset() {}

}  // namespace engine
}  // namespace tinydeploy
