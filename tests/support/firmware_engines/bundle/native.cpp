// Runs layers on this machine. On standard input come any number of jobs: the layer's index, its arena's bytes, the
// parts of the arena that last from one inference to the next, the parts that hold something at all (of the arena's
// bytes no other may be touched), the number of samples, and their inputs. Outputs go to standard output.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) (static_cast<void>(data), static_cast<void>(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) (static_cast<void>(data), static_cast<void>(bytes))
#endif

using namespace tinydeploy;

static uint32_t hooks = 0;
static uint32_t seed = 1;

static void fail(const char* why) {
  fprintf(stderr, "%s\n", why);
  exit(3);
}

static uint32_t number() {
  uint32_t value = 0;
  if (fread(&value, 4, 1, stdin) != 1) fail("stdin is too short");
  return value;
}

struct Parts {
  uint32_t count = number();
  uint32_t* numbers = static_cast<uint32_t*>(malloc(8 * count + 8));  // offset, bytes

  Parts() {
    for (uint32_t i = 0; i < 2 * count; ++i) numbers[i] = number();
  }
  ~Parts() { free(numbers); }
};

static void paint(uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = static_cast<uint8_t>(seed >> 24);
  }
}

static void hook(void*, uint32_t op) {
  if (op > hooks) fail("hooks are out of order");  // an op may have several turns
  if (op == hooks) ++hooks;
}

static void run(const Layer& layer) {
  const uint32_t bytes = number();
  const Parts kept, used;
  const uint32_t guard = 256;
  uint8_t* memory = static_cast<uint8_t*>(aligned_alloc(16, bytes + 2 * guard));
  uint8_t* old = static_cast<uint8_t*>(malloc(bytes + 1));
  uint8_t* arena = memory + guard;
  memset(memory, 0xA5, bytes + 2 * guard);
  paint(arena, bytes);
  if (bytes != layer.arena_bytes) fail("the arena has another size");
  if (bytes > 0 && layer.setup(arena, bytes - 1) != Status::kArenaTooSmall) fail("a smaller arena passed");
  if (layer.setup(arena, bytes) != Status::kOk) fail("setup failed");
  const uint32_t samples = number();
  for (uint32_t sample = 0; sample < samples; ++sample) {
    memcpy(old, arena, bytes);
    paint(arena, bytes);
    for (uint32_t i = 0; i < kept.count; ++i) {
      memcpy(arena + kept.numbers[2 * i], old + kept.numbers[2 * i], kept.numbers[2 * i + 1]);
    }
    for (uint32_t i = 0; i < layer.description.inputs; ++i) {
      const Span span = layer.input(i);
      if (fread(span.data, 1, span.bytes, stdin) != span.bytes) fail("stdin is too short");
    }
    hooks = 0;
    ASAN_POISON_MEMORY_REGION(memory, bytes + 2 * guard);
    for (uint32_t i = 0; i < used.count; ++i) {
      ASAN_UNPOISON_MEMORY_REGION(arena + used.numbers[2 * i], used.numbers[2 * i + 1]);
    }
    layer.set_hook(sample % 2 == 0 ? hook : nullptr);
    if (layer.invoke() != Status::kOk) fail("invoke failed");
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes + 2 * guard);
    if (sample % 2 == 0 && hooks != layer.description.ops) fail("hooks are missing");
    for (uint32_t i = 0; i < layer.description.outputs; ++i) {
      const Span span = layer.output(i);
      fwrite(span.data, 1, span.bytes, stdout);
    }
    for (uint32_t i = 0; i < guard; ++i) {
      if (memory[i] != 0xA5 || arena[bytes + i] != 0xA5) fail("wrote beyond the arena");
    }
  }
  free(memory);
  free(old);
}

int main() {
  for (uint32_t index; fread(&index, 4, 1, stdin) == 1;) {
    if (index >= kLayerCount) fail("there is no such layer");
    run(*kLayers[index]);
  }
}
