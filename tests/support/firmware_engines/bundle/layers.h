// Many models in one program: each is an engine of its own, in a namespace of its own. tests/support/bundle.py makes them.
#pragma once

#include "engine.h"

namespace tinydeploy {

// How a model's input is filled: element = the smallest, the largest, or any value of this range.
struct Fill {
  int64_t low;
  uint64_t span;       // how many values there are; 0 for 2**64
  uint8_t bytes;       // of an element
  bool is_float;       // the value is in sixteenths
};

struct Layer {
  uint32_t seed;
  uint32_t arena_bytes;
  const Description& description;
  const Fill* fills;
  Status (*setup)(uint8_t* arena, size_t arena_bytes);
  Span (*input)(uint32_t index);
  Span (*output)(uint32_t index);
  void (*set_hook)(OpHook hook);
  Status (*invoke)();
};

extern const Layer* const kLayers[];
extern const uint32_t kLayerCount;

}  // namespace tinydeploy
