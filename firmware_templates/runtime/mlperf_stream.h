// Wake words in a stream of sound: each kStride samples are a frame, of which features are made that the model takes
// with those of the frames before.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace mlperf_stream {

// Forgets the sound: as if silence had been before, and no frame.
void begin();

// Takes a frame, and runs the model. False if that has failed.
bool hear(const uint8_t* sound);

// Of the last frame: as the model took them, and as it gave them.
int32_t feature(uint32_t index);
int32_t score(uint32_t index);

// Whether the last frame's first score is above the threshold. The first frame counts as well: it marks the beginning.
bool is_detection();

}  // namespace mlperf_stream
}  // namespace tinydeploy
