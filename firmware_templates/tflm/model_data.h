// The model's .tflite file, as it came.
#pragma once

#include <stdint.h>

namespace tinydeploy::model {

extern const uint8_t kFile[];

}  // namespace tinydeploy::model
