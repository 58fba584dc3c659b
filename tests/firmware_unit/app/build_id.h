// Stands for the content of a generated project; this one is none.
#pragma once

#include <stdint.h>

namespace tinydeploy {

constexpr uint64_t kBuildId = 0;
constexpr char kIntroduction[] = "tinydeploy: a unit test\r\n";

}  // namespace tinydeploy
