// Counts what an inference, and each of its ops, costs. What reading the counter itself costs is measured once
// and taken off, so an op that does nothing counts zero.
#pragma once

#include <stdint.h>

#include "engine.h"

namespace tinydeploy {
namespace measure {

void open();

struct Inference {
  Status status;
  uint64_t count;
};

// Invokes the engine. Without `profile`, count is the inference's; with it, the ops' are counted too, and count is
// their sum.
Inference invoke(bool profile);

// Count of one op in the last profiled inference. Counts that 32 bits cannot hold are cut to the largest that they
// can.
uint32_t op(uint32_t index);

// How many ops are counted.
uint32_t ops();

}  // namespace measure
}  // namespace tinydeploy
